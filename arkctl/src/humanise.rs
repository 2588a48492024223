//! Numbers and texts as people read them.

use ark_model::Resource;

/// A size in the largest binary unit that leaves at least 1: `512 B`, `1.5 KiB`, `64.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    UNITS.iter().find(|(_, shift)| bytes >> shift > 0).map_or_else(
        || format!("{bytes} B"),
        |(unit, shift)| {
            // In tenths, without floats: 1023.96 KiB must not read 1024.0 KiB.
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        },
    )
}

/// Milliseconds with as many places as matter: `0.42 ms`, `12.3 ms`, `1,234 ms`.
pub(crate) fn ms(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2} ms"),
        value if value < 1000.0 => format!("{value:.1} ms"),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration is not negative, and saturates")]
        value => format!("{} ms", count(value.round() as u64)),
    }
}

/// A whole number with separators: `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span of seconds: `42 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The time of day (UTC) of milliseconds since the Unix epoch: `21:08:27.123`.
pub(crate) fn clock(at: u64) -> String {
    let seconds = at / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, at % 1000)
}

/// Date and time (UTC) of milliseconds since the Unix epoch: `2026-11-20 21:08:27.123Z`.
pub(crate) fn moment(at: u64) -> String {
    // Days to a civil date, by counting in eras of 400 years that begin on a 1st of March.
    let days = at / 86_400_000 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {}Z", clock(at))
}

/// A text from elsewhere without control characters, so that it cannot drive the terminal. Tabs and line ends stay.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// An amount of something, in its unit.
pub(crate) fn amount(resource: &Resource) -> String {
    match resource.unit.as_str() {
        "bytes" => size(resource.amount),
        unit => format!("{} {}", count(resource.amount), printable(unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_never_rounds_up_into_the_next_unit() {
        let sizes = [0, 1023, 1024, 1536, (1 << 20) - 1, 1 << 20, 64 << 20, u64::MAX];
        assert_eq!(sizes.map(size), ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "1.0 MiB", "64.0 MiB", "16777215.9 TiB"]);
    }

    #[test]
    fn a_time_shows_the_places_that_matter() {
        assert_eq!([0.0, 0.4242, 12.34, 1234.5].map(ms), ["0.00 ms", "0.42 ms", "12.3 ms", "1,235 ms"]);
        assert_eq!([59, 185, 7800, 356_400].map(span), ["59 s", "3 min 5 s", "2 h 10 min", "4 d 3 h"]);
    }

    #[test]
    fn a_moment_is_a_civil_date() {
        assert_eq!(moment(0), "1970-01-01 00:00:00.000Z");
        assert_eq!(moment(951_782_400_000), "2000-02-29 00:00:00.000Z");
        assert_eq!(moment(1_700_000_000_123), "2023-11-14 22:13:20.123Z");
        assert_eq!(moment(1_735_689_599_999), "2024-12-31 23:59:59.999Z");
    }

    #[test]
    fn a_log_line_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\u{9b}d"), "a\u{fffd}[2Jb\tc\u{fffd}d");
    }
}
