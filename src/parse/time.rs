//! When a line says that it was written: RFC 3339, or a number since 1970. What is no time that every reader of RFC 3339
//! takes is none.

use std::fmt;

use crate::calendar::{civil_from_days, days_from_civil};

/// A moment since 1970-01-01 in UTC, before the year 10000. Displayed by RFC 3339.
///
/// A leap second is the second before it, with a billion nanoseconds and more: so it stands between its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    seconds: u64,
    nanos: u32,
}

/// The first second that has no year of four digits.
const END: u64 = 253_402_300_800;
const NANOS: u128 = 1_000_000_000;
const LEAP: u32 = 1_000_000_000;

impl Time {
    pub fn from_millis(millis: u64) -> Time {
        Time {
            seconds: (millis / 1000).min(END - 1),
            nanos: (millis % 1000) as u32 * 1_000_000,
        }
    }

    /// RFC 3339, section 5.6, with a zone; without one nobody knows which it is.
    pub fn parse(text: &str) -> Option<Time> {
        let (date, rest) = text.split_at_checked(10)?;
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let (clock, rest) = rest.split_at_checked(8)?;
        let day = days_from_civil(
            digits(date.get(..4)?)?,
            part(date, 4, '-')?,
            part(date, 7, '-')?,
        )?;
        let hour = below(digits(clock.get(..2)?)?, 24)?;
        let minute = below(part(clock, 2, ':')?, 60)?;
        let second = below(part(clock, 5, ':')?, 61)?;
        let (nanos, zone) = split_fraction(rest)?;
        let nanos = if second == 60 { nanos + LEAP } else { nanos };
        let local = day * 86_400 + hour * 3600 + minute * 60 + second.min(59);
        let seconds = local.checked_add_signed(-seconds_east(zone)?)?;
        (seconds < END).then_some(Time { seconds, nanos })
    }

    /// Seconds, milliseconds, microseconds or nanoseconds since 1970: which, is told by how many there are, and what would
    /// be before 1973 is no time but some other number. `text` is a JSON number.
    pub fn from_number(text: &str) -> Option<Time> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let unit: u128 = match whole.len() {
            9..=11 => NANOS,
            12..=14 => 1_000_000,
            15..=17 => 1000,
            18..=20 => 1,
            _ => return None,
        };
        let fraction = &fraction[..fraction.len().min(9)];
        let parts: u128 = format!("{fraction:0<9}").parse().ok()?;
        let nanos = whole.parse::<u128>().ok()? * unit + parts * unit / NANOS;
        let seconds = u64::try_from(nanos / NANOS).ok()?;
        let nanos = (nanos % NANOS) as u32;
        (seconds < END).then_some(Time { seconds, nanos })
    }

    /// The time of day, as in `08:15:30.123`: cut off, not rounded, so that no second is shown early.
    pub fn clock(self) -> String {
        let (hour, minute, second) = self.of_day();
        let (leap, millis) = (self.nanos / LEAP, self.nanos % LEAP / 1_000_000);
        let second = second + u64::from(leap);
        format!("{hour:02}:{minute:02}:{second:02}.{millis:03}")
    }

    fn of_day(self) -> (u64, u64, u64) {
        let seconds = self.seconds % 86_400;
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

impl fmt::Display for Time {
    /// With 0, 3, 6 or 9 digits of a second, as JSON of protocol buffers has it. A leap second, which not every reader's
    /// clock has, is the one before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.seconds / 86_400);
        let (hour, minute, second) = self.of_day();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        match self.nanos % LEAP {
            0 => {}
            nanos if nanos % 1_000_000 == 0 => write!(f, ".{:03}", nanos / 1_000_000)?,
            nanos if nanos % 1000 == 0 => write!(f, ".{:06}", nanos / 1000)?,
            nanos => write!(f, ".{nanos:09}")?,
        }
        f.write_str("Z")
    }
}

/// The two digits behind a mark that stands here.
fn part(text: &str, at: usize, mark: char) -> Option<u64> {
    let rest = text.get(at..)?.strip_prefix(mark)?;
    digits(rest.get(..2)?)
}

fn digits(text: &str) -> Option<u64> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok())?
}

fn below(number: u64, limit: u64) -> Option<u64> {
    (number < limit).then_some(number)
}

/// Nanoseconds, further digits cut off; and what stands behind them.
fn split_fraction(rest: &str) -> Option<(u32, &str)> {
    let Some(rest) = rest.strip_prefix('.') else {
        return Some((0, rest));
    };
    let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
    let nanos = format!("{:0<9}", &rest[..end.min(9)]).parse().ok()?;
    (end > 0).then_some((nanos, &rest[end..]))
}

fn seconds_east(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let offset = zone.get(1..).filter(|offset| offset.len() == 5)?;
    let hours = below(digits(offset.get(..2)?)?, 24)?;
    let minutes = below(part(offset, 2, ':')?, 60)?;
    Some(sign * (hours * 3600 + minutes * 60) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(time: Option<Time>) -> Option<String> {
        time.map(|time| time.to_string())
    }

    #[test]
    fn rfc_3339_is_shown_in_utc() {
        for (text, want) in [
            ("2026-01-31T08:15:30.123456Z", "2026-01-31T08:15:30.123456Z"),
            ("2026-01-31t08:15:30z", "2026-01-31T08:15:30Z"),
            ("2026-01-31 08:15:30.5Z", "2026-01-31T08:15:30.500Z"),
            (
                "2026-01-31T08:15:30.1234567Z",
                "2026-01-31T08:15:30.123456700Z",
            ),
            (
                "2026-01-31T08:15:30.1234567899Z",
                "2026-01-31T08:15:30.123456789Z",
            ),
            ("2026-01-01T01:00:00+02:30", "2025-12-31T22:30:00Z"),
            ("2024-02-28T20:00:00-08:00", "2024-02-29T04:00:00Z"),
            ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.500Z"),
            ("1970-01-01T00:00:00-00:00", "1970-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(shown(Time::parse(text)).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_not_every_reader_takes_is_no_time() {
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T08:15:30",
            "2026-01-31T08:15:30,5Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T08:60:00Z",
            "2026-01-31T08:15:61Z",
            "2026-01-31T08:15:30.Z",
            "2026-01-31T08:15:30+0200",
            "2026-01-31T08:15:30+24:00",
            "2026-01-31T08:15Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "20260131T081530Z",
            "2026-01-31T08:15:30ZZ",
            "2026-01-31T+8:15:30Z",
            "éééééééééé",
            "2026-01-31T08:15:3é",
            "2026-01-31T08:15:30é",
            "2026-01-31T08:15:30+é:00",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_time_of_day_is_in_utc_and_milliseconds() {
        for (timestamp, want) in [
            ("2026-01-31T08:15:30.123456Z", "08:15:30.123"),
            ("2026-01-31 08:15:30.9999Z", "08:15:30.999"),
            ("2026-01-31T01:15:30.5+05:45", "19:30:30.500"),
            ("2026-01-31T20:15:30-08:00", "04:15:30.000"),
            ("2016-12-31T23:59:60.25Z", "23:59:60.250"),
            ("2017-01-01T01:29:60+01:30", "23:59:60.000"),
        ] {
            let time = Time::parse(timestamp).map(Time::clock);
            assert_eq!(time.as_deref(), Some(want), "{timestamp}");
        }
    }

    #[test]
    fn how_many_digits_a_number_has_tells_its_unit() {
        for (text, want) in [
            ("1769847330", Some("2026-01-31T08:15:30Z")),
            ("1769847330.123", Some("2026-01-31T08:15:30.123Z")),
            ("1769847330123", Some("2026-01-31T08:15:30.123Z")),
            ("1769847330123.5", Some("2026-01-31T08:15:30.123500Z")),
            ("1769847330123456", Some("2026-01-31T08:15:30.123456Z")),
            (
                "1769847330123456789",
                Some("2026-01-31T08:15:30.123456789Z"),
            ),
            ("99999999", None),
            ("0", None),
            ("-1769847330", None),
            ("1.769847330e9", None),
            ("999999999999999999999", None),
            ("", None),
        ] {
            assert_eq!(shown(Time::from_number(text)).as_deref(), want, "{text}");
        }
        assert_eq!(Time::from_millis(u64::MAX).to_string().len(), 24);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_and_what_is_shown_is_read_again(
            odd in any::<String>(), text in "[0-9TZ:+. -]{0,30}", millis in 0..END * 1000,
        ) {
            Time::parse(&odd);
            Time::parse(&text);
            Time::parse(&format!("2026-01-31T08:15:30{text}"));
            Time::from_number(&text);
            let time = Time::from_millis(millis);
            prop_assert_eq!(Time::parse(&time.to_string()), Some(time));
        }
    }
}
