//! `cargo xtask release-checks`: checks that take minutes or that only matter for a release.

use xtask::{Build, Project, prepare::prepare, program::Failure};

use crate::{
    stages::Stages,
    test::{END_TO_END_BUILD, FAULTS, PEOPLE, build, end_to_end_tests, program},
    upgrade,
};

pub async fn run() -> Result<(), Failure> {
    let project = Project::with(Build::Release);
    let stages = Stages::new(&project);
    let outcome = checks(&project, &stages).await;
    println!("\n{stages}");
    outcome?;
    println!("Everything passed");
    Ok(())
}

async fn checks(project: &Project, stages: &Stages) -> Result<(), Failure> {
    let preparing = prepare(project, &["budget", "chaos", "chaos-bootstrap", "upgrade"]);
    stages.time("release build", preparing).await?;
    stages
        .run("sizes", program(project, "budget", &["sizes"]))
        .await?;
    let tests = stages
        .time("build of the tests", build(project, &END_TO_END_BUILD))
        .await?;
    let mut end_to_end = end_to_end_tests(project, &tests, None);
    end_to_end.arg("--release");
    stages.run("end to end", end_to_end).await?;
    stages
        .run("faults", program(project, "chaos", &FAULTS))
        .await?;
    for (name, trust) in [
        ("people, without trust", "--channel-trust=0"),
        ("people, trusted for a second", "--channel-trust=1"),
    ] {
        let mut people = program(project, "chaos", &PEOPLE);
        people.arg(trust);
        stages.run(name, people).await?;
    }
    stages
        .time("update", upgrade::from_the_previous_release(project))
        .await
}
