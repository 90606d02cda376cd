use std::fmt;

use super::Fault;

/// The largest number of requests of a rate.
const MAX_REQUESTS: u32 = 1_000_000;

/// So many requests in a time: `50/s`, `600/min` or `1000/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    requests: u32,
    /// 1, 60 or 3600.
    seconds: u32,
}

impl Rate {
    /// # Errors
    /// `not-a-rate` for anything else.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let not_a_rate =
            || Fault::new("not-a-rate", "must be 1 to 1000000 requests in a time, such as 50/s, 600/min or 1000/h");
        let (requests, unit) = text.split_once('/').ok_or_else(not_a_rate)?;
        let seconds = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return Err(not_a_rate()),
        };
        let is_number = requests.bytes().all(|byte| byte.is_ascii_digit());
        let requests = requests.parse().ok().filter(|_| is_number).ok_or_else(not_a_rate)?;
        Self::new(requests, seconds).ok_or_else(not_a_rate)
    }

    /// So many requests in so many seconds; `None` for numbers that no text has.
    pub fn new(requests: u32, seconds: u32) -> Option<Self> {
        let is_valid = (1..=MAX_REQUESTS).contains(&requests) && [1, 60, 3600].contains(&seconds);
        is_valid.then_some(Self { requests, seconds })
    }

    /// The number of requests, which may also come at once.
    pub fn requests(self) -> u32 {
        self.requests
    }

    /// The time, in seconds.
    pub fn seconds(self) -> u32 {
        self.seconds
    }

    /// Whether this rate allows all that the other one allows, in the long run and at once.
    pub fn covers(self, other: Self) -> bool {
        let sent = u64::from(other.requests) * u64::from(self.seconds);
        other.requests <= self.requests && sent <= u64::from(self.requests) * u64::from(other.seconds)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.seconds {
            1 => "s",
            60 => "min",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit_and_is_shown_as_it_is_written() {
        for text in ["1/s", "50/s", "600/min", "1000000/h"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "50", "/s", "0/s", "1000001/s", "+5/s", "1.5/s", "5/m", "5 /s", "5/s/s", "-1/h"] {
            assert_eq!(Rate::parse(text).unwrap_err().code, "not-a-rate", "{text}");
        }
    }

    #[test]
    fn a_rate_covers_another_one_in_the_long_run_and_at_once() {
        let covers = |one: &str, other: &str| Rate::parse(one).unwrap().covers(Rate::parse(other).unwrap());
        assert!(covers("50/s", "50/s") && covers("50/s", "49/s") && covers("50/s", "50/min"));
        assert!(!covers("50/s", "51/s") && !covers("50/s", "51/min") && !covers("60/min", "2/s"));
    }
}
