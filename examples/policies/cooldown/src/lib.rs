//! Cool-down and hysteresis: the number of machines follows what the policies before this one want, but calmly. See README.md.
#![forbid(unsafe_code)]

use millwright::{json, Description, Error, Policy, Problem, Proposal, Snapshot, ValidateRequest};

millwright::policy!(Cooldown);

pub struct Cooldown;

millwright::shape! {
    /// What cooldown.toml says below [config].
    Config {
        /// Seconds for which more must be wanted before more are held; 0 unless told.
        up_s: Option<i64>,
        /// Seconds for which fewer must be wanted before fewer are held; 300 unless told.
        down_s: Option<i64>,
        /// A change of this many machines or fewer is none; 0 unless told.
        tolerance: Option<i64>,
    }
}

millwright::shape! {
    /// What is remembered between two decisions.
    Memory {
        held: i64,
        /// Oldest first.
        steps: Vec<Step>,
    }
}

millwright::shape! {
    /// What was wanted in one step of the past.
    Step {
        /// The number of the step since 1970.
        n: i64,
        low: i64,
        high: i64,
    }
}

/// How many steps the longer of the two windows has: the exactness of the windows, and a bound to the memory.
const STEPS: i64 = 60;

impl Policy for Cooldown {
    fn describe(&self) -> Description {
        Description {
            name: "cooldown".into(),
            version: "1.0.0".into(),
            summary: "follows the wanted number of machines only when it stays up or down for a while".into(),
            position: 900, // after all that want something, before a budget
            ..Default::default()
        }
    }

    fn validate(&self, request: &ValidateRequest) -> Vec<Problem> {
        let mut problems = json::unknown_fields(&request.config, Config::FIELDS);
        match json::decode::<Config>(&request.config) {
            Err(e) => problems.push(Problem::new("", &e)),
            Ok(c) => {
                for (name, v) in [("up_s", c.up_s), ("down_s", c.down_s), ("tolerance", c.tolerance)] {
                    if !(0..=86_400).contains(&v.unwrap_or(0)) {
                        problems.push(Problem::new(name, &format!("{} is out of range; use 0 to 86400", v.unwrap_or(0))));
                    }
                }
            }
        }
        problems
    }

    fn decide(&self, s: &Snapshot) -> Result<Proposal, Error> {
        let wanted = match s.proposal.idle_target {
            Some(n) => n.max(0),
            None => return Ok(Proposal { reason: "no policy before this one wants a number of machines".into(), ..Default::default() }),
        };
        let config: Config = json::decode(&s.config)?;
        let (up_s, down_s) = (config.up_s.unwrap_or(0).max(0), config.down_s.unwrap_or(300).max(0));
        let now = Windows::new(s.now_unix_ms, up_s, down_s);

        // A state that can't be read is one of another version: start anew.
        let mut memory: Memory = json::parse(s.state.as_bytes()).and_then(|v| json::decode(&v)).unwrap_or_default();
        let first = memory.steps.is_empty();
        memory.add(&now, wanted);
        let (low, high) = (memory.lowest_since(now.up), memory.highest_since(now.down));
        let tolerance = config.tolerance.unwrap_or(0).max(0);
        if first {
            memory.held = wanted;
        } else if low > memory.held.saturating_add(tolerance) {
            memory.held = low;
        } else if high < memory.held.saturating_sub(tolerance) {
            memory.held = high;
        }
        let held = memory.held;
        Ok(Proposal {
            idle_target: Some(held),
            metrics: [("wanted".to_string(), wanted as f64), ("held".to_string(), held as f64)].into_iter().collect(),
            state: Some(String::from_utf8(json::encode(&memory)?)?),
            reason: reason(wanted, held, up_s, down_s),
            ..Default::default()
        })
    }
}

/// The steps in which the two windows start, and the present one.
struct Windows {
    now: i64,
    up: i64,
    down: i64,
}

impl Windows {
    fn new(now_unix_ms: i64, up_s: i64, down_s: i64) -> Self {
        let step_ms = (up_s.max(down_s).saturating_mul(1000) / STEPS).max(1000);
        let now = now_unix_ms / step_ms;
        Windows { now, up: now - up_s.saturating_mul(1000) / step_ms, down: now - down_s.saturating_mul(1000) / step_ms }
    }
}

impl Memory {
    /// Notes what is wanted now and forgets what is older than both windows, or lies in the future because the clock was set back.
    fn add(&mut self, at: &Windows, wanted: i64) {
        let oldest = at.up.min(at.down);
        self.steps.retain(|s| (oldest..=at.now).contains(&s.n));
        match self.steps.last_mut() {
            Some(last) if last.n == at.now => {
                last.low = last.low.min(wanted);
                last.high = last.high.max(wanted);
            }
            _ => self.steps.push(Step { n: at.now, low: wanted, high: wanted }),
        }
    }

    fn lowest_since(&self, step: i64) -> i64 {
        self.steps.iter().filter(|s| s.n >= step).map(|s| s.low).min().unwrap_or(0)
    }

    fn highest_since(&self, step: i64) -> i64 {
        self.steps.iter().filter(|s| s.n >= step).map(|s| s.high).max().unwrap_or(0)
    }
}

fn reason(wanted: i64, held: i64, up_s: i64, down_s: i64) -> String {
    if wanted < held {
        format!("{} wanted: keep {} until fewer have been wanted for {} s", wanted, held, down_s)
    } else if wanted > held {
        format!("{} wanted: stay at {} until more have been wanted for {} s", wanted, held, up_s)
    } else {
        format!("hold {} machines available, as wanted", held)
    }
}
