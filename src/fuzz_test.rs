//! Runs a property on many mutations of valid samples. `FUZZ_INPUTS` is the number of inputs of each target, and `FUZZ_SEED`
//! decides them. `make fuzz` runs all targets.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;

const DEFAULT_INPUTS: u64 = 5_000;
/// No mutation makes an input longer, in bytes.
const LONGEST: usize = 4_096;

/// What parsers often get wrong.
const TOKENS: [&str; 48] = [
    "\0",
    "\t",
    "\n",
    "\r\n",
    " ",
    "\u{7f}",
    "\u{a0}",
    "\u{feff}",
    "\u{2028}",
    "\u{301}",
    "é",
    "ß",
    "漢",
    "😀",
    "٣",
    "５",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "'",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    ";",
    "=",
    "&",
    "%",
    "%00",
    "/",
    "..",
    "-",
    "--",
    "+",
    "#",
    "null",
    "true",
    "{}",
    "0",
    "-0.0",
    "1e309",
    "18446744073709551616",
    "2026-02-30T24:00:60Z",
    "+13125550142",
    "NaN",
];

/// Runs a property on texts.
pub fn fuzz(samples: &[&str], property: impl Fn(&str)) {
    fuzz_bytes(samples, |bytes| property(&String::from_utf8_lossy(bytes)));
}

/// Runs a property on bytes that may not be UTF-8.
pub fn fuzz_bytes(samples: &[&str], property: impl Fn(&[u8])) {
    let inputs = number("FUZZ_INPUTS").unwrap_or(DEFAULT_INPUTS);
    let mut random = Rng::with_seed(number("FUZZ_SEED").unwrap_or(1));
    for _ in 0..inputs {
        let input = mutated(&mut random, samples);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| property(&input))) {
            println!("the input: \"{}\"", input.escape_ascii());
            resume_unwind(panic);
        }
    }
    println!("{inputs} inputs: {}", std::thread::current().name().unwrap_or_default());
}

/// The number in this environment variable.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

fn mutated(random: &mut Rng, samples: &[&str]) -> Vec<u8> {
    let mut input = sample(random, samples).as_bytes().to_vec();
    for _ in 0..random.u8(0..6) {
        mutate(random, &mut input, samples);
    }
    input.truncate(LONGEST);
    input
}

fn sample<'a>(random: &mut Rng, samples: &[&'a str]) -> &'a str {
    random.choice(samples).copied().unwrap_or_default()
}

fn mutate(random: &mut Rng, input: &mut Vec<u8>, samples: &[&str]) {
    let start = random.usize(0..=input.len());
    let end = random.usize(start..=input.len().min(start + 8));
    match random.u8(0..8) {
        0 => drop(input.drain(start..end)),
        1 => input.truncate(start),
        2 => drop(input.splice(start..end, sample(random, &TOKENS).bytes())),
        3 => drop(input.splice(start..start, sample(random, &TOKENS).bytes())),
        4 => {
            let part = input[start..end].repeat(random.usize(1..40));
            input.splice(start..start, part);
        }
        5 => drop(input.splice(start..end, [random.u8(..)])),
        // Another digit or letter, so that the text keeps its shape.
        6 if start < end => input[start] = random.u8(b'0'..=b'z'),
        6 => input.push(random.u8(b'0'..=b'9')),
        _ => {
            let other = sample(random, samples).as_bytes();
            let from = random.usize(0..=other.len());
            input.splice(start..end, other[from..].iter().copied());
        }
    }
}
