//! The text of the SMS, in the language and the time zone of the person who is called.

use std::{borrow::Cow, collections::HashMap};

use fluent_templates::{Loader, fluent_bundle::FluentValue};
use icu_datetime::{
    DateTimeFormatter, DateTimeFormatterPreferences,
    fieldsets::{YMD, zone::SpecificShort},
    input::{self, Date, DateTime, Time, UtcOffset, ZonedDateTime},
    preferences::CalendarAlgorithm,
};
use icu_locale::{Locale, locale};
use jiff::{Timestamp, Zoned};
use jiff_icu::{ConvertFrom, ConvertTryFrom};

use super::gsm7::{SEGMENT, in_gsm7, septets};
use crate::types::{Language, TimeZone};

fluent_templates::static_loader! {
    // Each directory is a translation.
    static TEXTS = {
        locales: "./src/callbacks/confirmation/texts",
        fallback_language: "en",
        // Isolation marks are for right-to-left text, and no translation is right-to-left.
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

/// "Your callback is confirmed for Nov 20, 2026, 10:30 AM EST. Reference: ..." in the given language, or in English if
/// there is no translation.
///
/// `at` is formatted to the minute in `zone`, as the language's region formats dates and times, in the Gregorian calendar.
/// The zone has its abbreviation if the region uses one, and its offset from UTC otherwise (`GMT-5`).
///
/// The text fits one segment of GSM-7: characters outside the alphabet are replaced by their closest form. If it does not
/// fit, the text is in plain English.
pub fn confirmation_text(language: &Language, zone: &TimeZone, at: Timestamp, reference: &str) -> String {
    let at = at.to_zoned(zone.tz().clone());
    let locale = translated_locale(language);
    let text = localized(&locale, &at, reference).and_then(in_one_segment);
    text.unwrap_or_else(|| plain_english(&at, reference))
}

fn in_one_segment(text: String) -> Option<String> {
    in_gsm7(&text).filter(|plain| septets(plain) <= SEGMENT)
}

fn translated_locale(language: &Language) -> Locale {
    Locale::try_from_str(language.as_str()).ok().filter(has_translation).unwrap_or(locale!("en"))
}

fn has_translation(locale: &Locale) -> bool {
    TEXTS.locales().any(|translation| translation.language.as_str() == locale.id.language.as_str())
}

fn localized(locale: &Locale, at: &Zoned, reference: &str) -> Option<String> {
    let text = locale.id.language.as_str().parse().ok()?;
    let arguments = HashMap::from([
        (Cow::Borrowed("time"), FluentValue::from(local_time(locale, at)?)),
        (Cow::Borrowed("reference"), FluentValue::from(reference.to_string())),
    ]);
    TEXTS.try_lookup_with_args(&text, "confirmation", &arguments)
}

/// The formatter is built for every message. That takes about 5 microseconds, which is too little for a cache of several
/// hundred locales.
fn local_time(locale: &Locale, at: &Zoned) -> Option<String> {
    let fields = YMD::medium().with_time_hm().with_zone(SpecificShort);
    let formatter = DateTimeFormatter::try_new(preferences(locale), fields).ok()?;
    let date = Date::convert_from(at.date());
    let time = Time::convert_from(at.time());
    let zone = input::TimeZone::convert_from(at.time_zone())
        .with_offset(UtcOffset::convert_try_from(at.offset()).ok())
        .at_date_time(DateTime { date, time });
    let formatted = formatter.format(&ZonedDateTime { date, time, zone });
    Some(formatted.to_string())
}

/// The preferences of a locale without its script, calendar and numerals: the text is in Latin script, and in Thailand the
/// year 2026 would be 2569, even in English.
fn preferences(locale: &Locale) -> DateTimeFormatterPreferences {
    let mut locale = locale.clone();
    locale.id.script = None;
    locale.id.variants.clear();
    let mut preferences = DateTimeFormatterPreferences::from(&locale);
    preferences.calendar_algorithm = Some(CalendarAlgorithm::Gregory);
    preferences.numbering_system = None;
    preferences
}

/// The text without ICU and Fluent, in case one of them fails or the text needs more than one segment.
fn plain_english(at: &Zoned, reference: &str) -> String {
    let time = at.strftime("%b %-d, %Y, %-I:%M %p %Z");
    format!("Your callback is confirmed for {time}. Reference: {reference}")
}

#[cfg(test)]
#[path = "text_test.rs"]
mod tests;
