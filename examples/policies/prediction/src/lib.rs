//! Prediction: machines are ready when the jobs come that came at this hour in the weeks before. See README.md.
#![forbid(unsafe_code)]

mod profile;

use millwright::{json, Description, Error, HistoryWish, Policy, Problem, Proposal, Snapshot, ValidateRequest};

pub use profile::{Profile, HOUR_S, WEEK};

millwright::policy!(Prediction);

pub struct Prediction;

millwright::shape! {
    /// What prediction.toml says below [config].
    Config {
        /// Seconds from asking for a machine to its first job; 300 unless told.
        lead_s: Option<i64>,
        /// Where between the mean of an hour (0) and its highest moment (1) to be ready for; 0.5 unless told.
        headroom: Option<f64>,
        /// Machines in all that a prediction may ask for; 0 and nothing set no limit.
        max_machines: i64,
        /// Whose weeks and hours, as IANA names zones; `Local` unless told.
        timezone: Option<String>,
    }
}

impl Config {
    fn lead_s(&self) -> i64 {
        self.lead_s.unwrap_or(300)
    }

    fn headroom(&self) -> f64 {
        self.headroom.unwrap_or(0.5)
    }
}

impl Policy for Prediction {
    fn describe(&self) -> Description {
        Description {
            name: "prediction".into(),
            version: "1.0.0".into(),
            summary: "holds machines for the jobs that came at this hour of the week before, with the trend".into(),
            position: 300, // after those that know what is here, before those that calm and cap
            want_history: Some(HistoryWish { points: WEEK as i64, step_s: HOUR_S }),
            ..Default::default()
        }
    }

    fn validate(&self, request: &ValidateRequest) -> Vec<Problem> {
        let mut problems = json::unknown_fields(&request.config, Config::FIELDS);
        match json::decode::<Config>(&request.config) {
            Err(e) => problems.push(Problem::new("", &e)),
            Ok(c) => {
                if !(0..=HOUR_S).contains(&c.lead_s()) {
                    problems.push(Problem::new("lead_s", &format!("{} is out of range; use 0 to {}", c.lead_s(), HOUR_S)));
                }
                if !(0.0..=1.0).contains(&c.headroom()) {
                    problems.push(Problem::new("headroom", &format!("{} is out of range; use 0 (the mean) to 1 (the highest)", c.headroom())));
                }
                if c.max_machines < 0 {
                    problems.push(Problem::new("max_machines", &format!("{} is negative; use 0 for no limit", c.max_machines)));
                }
            }
        }
        problems
    }

    fn decide(&self, s: &Snapshot) -> Result<Proposal, Error> {
        let config: Config = json::decode(&s.config)?;
        let zone = config.timezone.as_deref().unwrap_or("Local");
        let offset_s = match s.zones.iter().find(|z| z.name == zone) {
            Some(z) => z.offset_s,
            None => return Err(format!("timezone: {:?} is not in the snapshot; name it as IANA does, or use Local or UTC", zone).into()),
        };
        // A state that can't be read is one of another version: the week's history makes a new one.
        let mut profile: Profile = json::read(s.state.as_bytes()).unwrap_or_default();
        let learned = s.history.as_ref().map_or(false, |h| profile.learn(h, offset_s, config.headroom()));
        let state = if learned { Some(String::from_utf8(json::encode(&profile)?)?) } else { None };

        let now_s = s.now_unix_ms.div_euclid(1000) + offset_s;
        let hours = [now_s.div_euclid(HOUR_S), (now_s + config.lead_s().max(0)).div_euclid(HOUR_S)];
        let best = hours.iter().filter_map(|h| Some((profile.load(*h, config.headroom())?, *h))).fold(None, later_if_more);
        let (load, hour) = match best {
            Some(found) => found,
            None => return Ok(Proposal { state, reason: format!("no history of {} yet", profile::name(hours[1])), ..Default::default() }),
        };
        let trend = profile.trend();
        let mut expected = (load * trend - 1e-9).ceil().max(0.0) as i64;
        if config.max_machines > 0 {
            expected = expected.min(config.max_machines);
        }
        let base = s.proposal.idle_target.unwrap_or(s.runner.idle_count).max(0);
        let target = base.max(expected.saturating_sub(s.fleet.used.max(0)));
        Ok(Proposal {
            idle_target: Some(target),
            metrics: [("expected".to_string(), expected as f64), ("trend".to_string(), profile::rounded(trend))].into_iter().collect(),
            state,
            reason: format!(
                "{} had {} jobs, trend {:.2}: expect {} in {} s, {} run: {}",
                profile::name(hour),
                profile::rounded(load),
                trend,
                expected,
                config.lead_s(),
                s.fleet.used,
                if target > base { format!("hold {} available", target) } else { format!("the {} wanted are enough", base) }
            ),
            ..Default::default()
        })
    }
}

/// Of two hours the one with more jobs, the later of equals.
fn later_if_more(best: Option<(f64, i64)>, next: (f64, i64)) -> Option<(f64, i64)> {
    match best {
        Some(b) if b.0 > next.0 => Some(b),
        _ => Some(next),
    }
}
