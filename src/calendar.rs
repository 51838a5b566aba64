//! Days and dates, from 1970 on, in the Gregorian calendar.
//!
//! Pure. The algorithms are those of Howard Hinnant, <https://howardhinnant.github.io/date_algorithms.html>, less what they
//! do for days before 1970.

/// Year, month and day of a day counted from 1970-01-01, as its `civil_from_days`.
pub fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is the last; eras are of 400 years and begin in the year 0.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The day of a date, counted from 1970-01-01. None: there is no such date, or it is before that.
pub fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let (year_from_march, month_from_march) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // The month before may have been longer than this one.
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, want) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (364, (1970, 12, 31)),
            (789, (1972, 2, 29)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (11_322, (2000, 12, 31)),
            (11_323, (2001, 1, 1)),
            (20_484, (2026, 1, 31)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (2_932_896, (9999, 12, 31)),
        ] {
            assert_eq!(civil_from_days(days), want, "{days}");
        }
    }

    #[test]
    fn dates_become_days_and_no_others_do() {
        for days in (0..2_932_897).step_by(13) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), Some(days));
        }
        for (year, month, day) in [
            (1969, 12, 31),
            (10_000, 1, 1),
            (2026, 0, 1),
            (2026, 13, 1),
            (2026, 1, 0),
            (2026, 1, 32),
            (2026, 2, 29),
            (2024, 2, 30),
            (2026, 4, 31),
            (2100, 2, 29),
            (2026, 1, 99),
        ] {
            let date = days_from_civil(year, month, day);
            assert_eq!(date, None, "{year}-{month}-{day}");
        }
        assert_eq!(days_from_civil(2024, 2, 29), Some(19_782));
    }
}
