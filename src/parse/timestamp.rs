//! RFC 3339 timestamps to the time of day in UTC.
//!
//! No calendar: the date is checked for its form only, since it is not shown.

const MINUTES_A_DAY: u32 = 24 * 60;

/// `08:15:30.123` for an RFC 3339 timestamp, the zone's offset taken off. None for anything else.
pub fn utc_clock(timestamp: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(timestamp).ok()?;
    let (date, time) = text.split_at_checked(10)?;
    check_date(date)?;
    // RFC 3339, section 5.6, allows t and z, and a space for legibility.
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = time.split_at_checked(8)?;
    let (minutes, second) = read_clock(clock)?;
    let (millis, zone) = split_fraction(rest)?;
    let minutes = (minutes + MINUTES_A_DAY - minutes_east(zone)?) % MINUTES_A_DAY;
    let (hour, minute) = (minutes / 60, minutes % 60);
    Some(format!("{hour:02}:{minute:02}:{second:02}.{millis}"))
}

fn check_date(date: &str) -> Option<()> {
    let (century, rest) = date.split_at_checked(2)?;
    let (year, rest) = rest.split_at_checked(2)?;
    let (month, day) = rest.strip_prefix('-')?.split_once('-')?;
    below(century, 100)?;
    below(year, 100)?;
    let (month, day) = (below(month, 13)?, below(day, 32)?);
    (month > 0 && day > 0).then_some(())
}

/// Minutes since midnight, and seconds; the 60th is a leap second.
fn read_clock(clock: &str) -> Option<(u32, u32)> {
    let (hour, rest) = clock.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    Some((
        below(hour, 24)? * 60 + below(minute, 60)?,
        below(second, 61)?,
    ))
}

/// The fraction's first three digits, cut off, not rounded, so that no second is shown early; and what stands
/// behind it.
fn split_fraction(rest: &str) -> Option<(String, &str)> {
    let Some(rest) = rest.strip_prefix('.') else {
        return Some(("000".to_owned(), rest));
    };
    let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
    let digits = &rest[..end.min(3)];
    (end > 0).then(|| (format!("{digits:0<3}"), &rest[end..]))
}

/// How many minutes the zone is ahead of UTC, as a number of minutes below a day: an hour behind is 23 ahead.
fn minutes_east(zone: &str) -> Option<u32> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, offset) = zone.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let minutes = below(hours, 24)? * 60 + below(minutes, 60)?;
    match sign {
        "+" => Some(minutes),
        "-" => Some((MINUTES_A_DAY - minutes) % MINUTES_A_DAY),
        _ => None,
    }
}

/// Two digits that make a number below this.
fn below(digits: &str, limit: u32) -> Option<u32> {
    let two_digits = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    two_digits
        .then(|| digits.parse().ok())?
        .filter(|number| *number < limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_time_of_day_is_in_utc_and_milliseconds() {
        for (timestamp, want) in [
            ("2026-01-31T08:15:30.123456Z", "08:15:30.123"),
            ("2026-01-31T08:15:30Z", "08:15:30.000"),
            ("2026-01-31t08:15:30.9z", "08:15:30.900"),
            ("2026-01-31 08:15:30.9999Z", "08:15:30.999"),
            ("2026-01-31T08:15:30+02:00", "06:15:30.000"),
            ("2026-01-31T01:15:30.5+05:45", "19:30:30.500"),
            ("2026-01-31T20:15:30-08:00", "04:15:30.000"),
            ("2026-01-31T00:00:00-00:00", "00:00:00.000"),
            ("2016-12-31T23:59:60Z", "23:59:60.000"),
        ] {
            assert_eq!(
                utc_clock(timestamp.as_bytes()).as_deref(),
                Some(want),
                "{timestamp}"
            );
        }
    }

    #[test]
    fn anything_else_is_not_a_timestamp() {
        for text in [
            "",
            "08:15:30",
            "2026-01-31",
            "2026-01-31T08:15:30",
            "2026-01-31T08:15Z",
            "2026-01-31T08:15:30.Z",
            "2026-01-31T08:15:30,5Z",
            "2026-01-31T08:15:30.5",
            "2026-01-31T08:15:30ZZ",
            "2026-01-31T08:15:30+0200",
            "2026-01-31T08:15:30+24:00",
            "2026-01-31T24:00:00Z",
            "2026-01-31T08:60:00Z",
            "2026-01-31T08:15:61Z",
            "2026-13-01T08:15:30Z",
            "2026-00-01T08:15:30Z",
            "2026-01-32T08:15:30Z",
            "2026-01-3108:15:30Z",
            "20260131T081530Z",
            "1769847330",
            "2026-01-31T+8:15:30Z",
            "31/Jan/2026:08:15:30 +0000",
        ] {
            assert_eq!(utc_clock(text.as_bytes()), None, "{text}");
        }
        assert_eq!(utc_clock(b"2026-01-31T08:15:30.\xffZ"), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_look_at(text in "[0-9TZ:+. -]{0,40}", odd in any::<String>()) {
            utc_clock(text.as_bytes());
            utc_clock(odd.as_bytes());
            utc_clock(format!("2026-01-31T08:15:30{text}{odd}").as_bytes());
        }
    }
}
