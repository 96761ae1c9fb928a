//! The report: what was counted, and what it costs.

mod counted;
mod dollars;
mod numbers;

use std::fmt;

use local_stack::Project;

use self::dollars::price_list;
use crate::{
    Error,
    cases::{self, Case},
    counter::Counter,
    deployment::{Deployment, custom_metrics},
    schedules::Schedule,
    section::Section,
    work::Work,
};

#[derive(Debug, Clone)]
pub struct Report {
    works: Vec<(Case, Work)>,
    /// The functions that run on a schedule, and the work of each run.
    scheduled: Vec<(Schedule, Work)>,
    deployment: Deployment,
    /// The number of custom metrics that the run has published.
    custom_metrics: u64,
}

/// Starts a stack, runs each case on it, and counts.
pub async fn run(project: &Project) -> Result<Report, Error> {
    let deployment = Deployment::synthesised(project, "cost").await?;
    let counter = Counter::start(project, "cost").await?;
    let report = measure(&counter, deployment).await;
    counter.stop().await;
    report
}

async fn measure(counter: &Counter, deployment: Deployment) -> Result<Report, Error> {
    let works = cases::run(counter).await?;
    let reads_again = |(case, work): &(Case, Work)| {
        *case != Case::FirstByColdFunctions && work.counted.secret_reads > 0
    };
    if works.iter().any(reads_again) {
        let late = "a cached token expired during a case: is the machine busy?";
        return Err(Error::Uncounted(late.to_owned()));
    }
    let mut scheduled = Vec::new();
    for schedule in &counter.schedules {
        let work = counter.count_invocation(&schedule.function).await?;
        scheduled.push((schedule.clone(), work));
    }
    Ok(Report {
        works,
        scheduled,
        deployment,
        custom_metrics: custom_metrics(counter.aws()).await?,
    })
}

impl Report {
    pub fn markdown(&self) -> String {
        let sections = self.sections();
        let sections = sections.iter().map(Section::markdown);
        sections.collect::<Vec<_>>().join("\n")
    }

    fn sections(&self) -> Vec<Section> {
        vec![
            self.cases(),
            self.counts(),
            self.details(),
            self.by_thousand(),
            self.fixed(),
            self.busy_month(),
            price_list(),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in self.sections() {
            write!(f, "{section}")?;
        }
        Ok(())
    }
}
