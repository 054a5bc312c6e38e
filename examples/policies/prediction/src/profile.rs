//! What is known of the hours of a week.

use millwright::History;

/// Hours in a week.
pub const WEEK: usize = 168;
/// Seconds in an hour.
pub const HOUR_S: i64 = 3600;

/// How much a new week counts against all before it.
const NEWEST: f64 = 0.5;
/// What is left after an hour of what the trend is made of: it is that of the last ten hours or so.
const MEMORY: f64 = 0.9;
/// A trend is never taken for more than this, nor for less than its inverse.
const MOST: f64 = 3.0;
/// Minutes of an hour that the agent must have seen.
const ENOUGH: i64 = 30;

millwright::shape! {
    /// The hours of a week from Thursday, midnight, since 1970 began on one. It is the policy's state.
    Profile {
        /// The last hour that is in it, counted from 1970 in UTC.
        last: i64,
        /// Jobs of the last hours, each less than the one after it; and what had been expected.
        actual: f64,
        expected: f64,
        /// Jobs at once, by hour of the week.
        mean: Vec<f64>,
        peak: Vec<f64>,
        /// Weeks in which the hour was seen; 0 says that nothing is known of it.
        weeks: Vec<i64>,
    }
}

impl Profile {
    /// Takes the hours that are new, and tells whether there were any. Hours that the agent did not see say nothing.
    pub fn learn(&mut self, h: &History, offset_s: i64, headroom: f64) -> bool {
        if h.step_s != HOUR_S {
            return false;
        }
        for list in [&mut self.mean, &mut self.peak] {
            list.resize(WEEK, 0.0);
        }
        self.weeks.resize(WEEK, 0);
        let first = h.from_unix_ms.div_euclid(1000 * HOUR_S);
        let before = self.last;
        for (i, minutes) in h.minutes.iter().enumerate().take(WEEK) {
            let hour = first + i as i64;
            if hour <= self.last {
                continue;
            }
            self.last = hour;
            if *minutes >= ENOUGH {
                let mean = h.running.get(i).copied().unwrap_or(0.0);
                let most = h.running_max.get(i).unwrap_or(&0).saturating_add(*h.waiting_max.get(i).unwrap_or(&0));
                self.note((hour * HOUR_S + offset_s).div_euclid(HOUR_S), mean, mean.max(most as f64), headroom);
            }
        }
        self.last > before
    }

    /// Notes what one hour was, counted from 1970 on the zone's clock.
    fn note(&mut self, hour: i64, mean: f64, peak: f64, headroom: f64) {
        let i = slot(hour);
        let new = if self.weeks[i] == 0 {
            1.0
        } else {
            self.actual = rounded(self.actual * MEMORY + between(mean, peak, headroom));
            self.expected = rounded(self.expected * MEMORY + between(self.mean[i], self.peak[i], headroom));
            NEWEST
        };
        self.mean[i] = rounded(self.mean[i] + (mean - self.mean[i]) * new);
        self.peak[i] = rounded(self.peak[i] + (peak - self.peak[i]) * new);
        self.weeks[i] = (self.weeks[i] + 1).min(99);
    }

    /// Jobs at once in an hour of the zone's clock, without the trend. Of an hour that was never seen it is the mean of that hour on the other working
    /// days, or on the other day of the weekend; `None` where those are not known either.
    pub fn load(&self, hour: i64, headroom: f64) -> Option<f64> {
        let at = |i: usize| match self.weeks.get(i) {
            Some(n) if *n > 0 => Some(between(*self.mean.get(i)?, *self.peak.get(i)?, headroom)),
            _ => None,
        };
        let i = slot(hour);
        if let Some(known) = at(i) {
            return Some(known);
        }
        let alike = (0..7).filter(|day| weekend(*day) == weekend(i / 24)).filter_map(|day| at(day * 24 + i % 24));
        let (n, sum) = alike.fold((0.0, 0.0), |(n, sum), load| (n + 1.0, sum + load));
        if n > 0.0 {
            Some(sum / n)
        } else {
            None
        }
    }

    /// How many times as many jobs there are as there were. One more job on either side keeps a few from meaning much.
    pub fn trend(&self) -> f64 {
        ((self.actual.max(0.0) + 1.0) / (self.expected.max(0.0) + 1.0)).clamp(1.0 / MOST, MOST)
    }
}

fn slot(hour: i64) -> usize {
    hour.rem_euclid(WEEK as i64) as usize
}

/// Tells whether a day, counted from Thursday, is Saturday or Sunday.
fn weekend(day: usize) -> bool {
    day == 2 || day == 3
}

fn between(mean: f64, peak: f64, headroom: f64) -> f64 {
    mean + (peak - mean) * headroom
}

/// Two decimals, so that the state stays small.
pub fn rounded(n: f64) -> f64 {
    (n * 100.0).round() / 100.0
}

/// An hour's name for people: `Mon 09:00`.
pub fn name(hour: i64) -> String {
    let i = slot(hour);
    format!("{} {:02}:00", ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][i / 24], i % 24)
}
