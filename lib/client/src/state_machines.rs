//! The state machine of each workflow.

use std::{collections::HashMap, env, fmt};

use apgl_aws::AwsError;
use apgl_contract::request::Operation;

use crate::ConfigError;

/// Contains the common start of all workflows' ARNs.
const COMMON_VARIABLE: &str = "APGL_STATE_MACHINES";
/// Contains the alias with which these are started.
const ALIAS_VARIABLE: &str = "APGL_STATE_MACHINE_ALIAS";
const ALIAS_RULE: &str =
    "must be an alias's name: 1 to 80 letters, digits, - _ and ., but not only digits";
const ARN_RULE: &str = "must be the ARN of a state machine, or of one of its versions or aliases";
const COMMON_RULE: &str = "must be the common start of the state machines' ARNs, such as arn:aws:states:eu-west-1:123456789012:stateMachine:apgl";

/// The ARN of a state machine, of one of its versions or of one of its aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMachineArn(String);

impl StateMachineArn {
    /// `None` unless the ARN has this form:
    /// `arn:<partition>:states:<region>:<account>:stateMachine:<name>[:<version or alias>]`.
    pub fn new(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let is_one = matches!(
            parts[..],
            ["arn", partition, "states", region, account, "stateMachine", name]
            | ["arn", partition, "states", region, account, "stateMachine", name, _]
            if [partition, region, account, name].iter().all(|part| !part.is_empty())
        );
        is_one.then(|| Self(arn.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The state machine itself, without a version or an alias.
    #[must_use]
    pub fn unqualified(&self) -> Self {
        let parts: Vec<&str> = self.0.splitn(8, ':').take(7).collect();
        Self(parts.join(":"))
    }

    /// The state machine with this alias. An ARN that already has a version or an alias stays as it is.
    #[must_use]
    fn by_alias(&self, alias: &str) -> Self {
        if self.unqualified() != *self {
            return self.clone();
        }
        Self(format!("{self}:{alias}"))
    }

    /// The ARN of the execution with this name. It does not contain a version or an alias.
    pub fn execution(&self, name: impl fmt::Display) -> String {
        let machine = self.unqualified().0;
        format!(
            "{}:{name}",
            machine.replacen(":stateMachine:", ":execution:", 1)
        )
    }
}

impl fmt::Display for StateMachineArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state machines that a client can start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateMachines(HashMap<Operation, StateMachineArn>);

/// Why the state machines of a deployment could not be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    #[error("there is no state machine {prefix}-<workflow> in this account and region")]
    NoneThere { prefix: String },
    #[error("ListStateMachines failed: {reason}")]
    StepFunctions { reason: String },
}

impl StateMachines {
    /// Sets one workflow's state machine.
    #[must_use]
    pub fn with(mut self, operation: Operation, arn: StateMachineArn) -> Self {
        self.0.insert(operation, arn);
        self
    }

    /// The state machines of a deployment. `start` is the common start of their ARNs, up to the deployment's prefix,
    /// for example `arn:aws:states:eu-west-1:123456789012:stateMachine:apgl`. `None` if it is invalid.
    pub fn starting_with(start: &str) -> Option<Self> {
        let machines = Operation::ALL.map(|operation| {
            let arn = StateMachineArn::new(&format!("{start}-{operation}"))?;
            Some((operation, arn)).filter(|(_, arn)| arn.unqualified() == *arn)
        });
        StateMachineArn::new(start)?;
        machines.into_iter().collect()
    }

    /// The same state machines, started with this alias, so that the version runs that the alias points to. An ARN
    /// that already has a version or an alias stays as it is. `None` if `alias` is not a valid name.
    ///
    /// Source: `CreateStateMachineAlias`, AWS Step Functions API Reference.
    #[must_use]
    pub fn by_alias(self, alias: &str) -> Option<Self> {
        let may_stand_in_it = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let is_version = alias.bytes().all(|b| b.is_ascii_digit());
        if is_version || alias.len() > 80 || !alias.bytes().all(may_stand_in_it) {
            return None;
        }
        let machines = self.0.into_iter();
        Some(
            machines
                .map(|(operation, arn)| (operation, arn.by_alias(alias)))
                .collect(),
        )
    }

    /// Reads the environment: see the crate's documentation.
    ///
    /// # Errors
    /// Names the variable that is invalid, or the variables of which one must be set.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(read: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = |name: &str| read(name).filter(|value| !value.is_empty());
        let wrong = |variable: String, rule| ConfigError::Variable { variable, rule };
        let mut machines = match read(COMMON_VARIABLE) {
            None => Self::default(),
            Some(start) => Self::starting_with(&start)
                .ok_or_else(|| wrong(COMMON_VARIABLE.to_owned(), COMMON_RULE))?,
        };
        if let Some(alias) = read(ALIAS_VARIABLE) {
            machines = machines
                .by_alias(&alias)
                .ok_or_else(|| wrong(ALIAS_VARIABLE.to_owned(), ALIAS_RULE))?;
        }
        for operation in Operation::ALL {
            let variable = variable(operation);
            if let Some(arn) = read(&variable) {
                let arn = StateMachineArn::new(&arn).ok_or_else(|| wrong(variable, ARN_RULE))?;
                machines = machines.with(operation, arn);
            }
        }
        if machines.0.is_empty() {
            return Err(ConfigError::NoStateMachine);
        }
        Ok(machines)
    }

    /// Looks for the state machines `<prefix>-<workflow>` in the account and region of `sfn`. This needs
    /// `states:ListStateMachines`, so it is meant for tools that people run. A handler gets the ARNs as settings.
    ///
    /// # Errors
    /// [`FindError`] if there are none, or if Step Functions can't be asked.
    pub async fn find(sfn: &aws_sdk_sfn::Client, prefix: &str) -> Result<Self, FindError> {
        let mut machines = Self::default();
        let mut pages = sfn.list_state_machines().into_paginator().items().send();
        while let Some(machine) = pages.next().await {
            let machine = machine.map_err(|error| {
                let reason = AwsError::of(&error).reason().to_owned();
                FindError::StepFunctions { reason }
            })?;
            let of_ours = |operation: &Operation| machine.name == format!("{prefix}-{operation}");
            if let Some(operation) = Operation::ALL.into_iter().find(of_ours)
                && let Some(arn) = StateMachineArn::new(&machine.state_machine_arn)
            {
                machines = machines.with(operation, arn);
            }
        }
        if machines.0.is_empty() {
            let prefix = prefix.to_owned();
            return Err(FindError::NoneThere { prefix });
        }
        Ok(machines)
    }

    pub fn get(&self, operation: Operation) -> Option<&StateMachineArn> {
        self.0.get(&operation)
    }

    /// The known state machines, in the order of [`Operation::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Operation, &StateMachineArn)> {
        let known = |operation| Some((operation, self.get(operation)?));
        Operation::ALL.into_iter().filter_map(known)
    }
}

/// The name of the variable with one workflow's ARN, for example `APGL_NOTIFY_PRIVATE_CHANNEL_ARN`.
pub(crate) fn variable(operation: Operation) -> String {
    let name = operation.as_str().replace('-', "_").to_ascii_uppercase();
    format!("APGL_{name}_ARN")
}

impl FromIterator<(Operation, StateMachineArn)> for StateMachines {
    fn from_iter<I: IntoIterator<Item = (Operation, StateMachineArn)>>(machines: I) -> Self {
        Self(machines.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::ExecutionName;

    const START: &str = "arn:aws:states:eu-west-1:1:stateMachine:apgl";
    const OWN: &str = "arn:aws:states:eu-west-1:1:stateMachine:other:live";

    fn read(variables: &[(&str, &str)]) -> Result<StateMachines, ConfigError> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        StateMachines::from_variables(|name| variables.get(name).map(|&value| value.to_owned()))
    }

    #[test]
    fn a_common_prefix_is_enough_and_a_workflows_own_arn_takes_precedence() {
        let machines = read(&[
            ("APGL_STATE_MACHINES", START),
            ("APGL_DELETE_CHANNEL_ARN", OWN),
        ])
        .unwrap();
        let arn = |operation| machines.get(operation).unwrap().as_str();
        assert_eq!(
            arn(Operation::NotifyPrivateChannel),
            format!("{START}-notify-private-channel")
        );
        assert_eq!(arn(Operation::DeleteChannel), OWN);
    }

    #[test]
    fn an_alias_applies_to_all_workflows_without_their_own_arn() {
        let machines = read(&[
            ("APGL_STATE_MACHINES", START),
            ("APGL_STATE_MACHINE_ALIAS", "live"),
            (
                "APGL_DELETE_CHANNEL_ARN",
                "arn:aws:states:eu-west-1:1:stateMachine:other",
            ),
        ])
        .unwrap();
        let arn = |operation| machines.get(operation).unwrap().as_str();
        assert_eq!(
            arn(Operation::NotifyPublicChannel),
            format!("{START}-notify-public-channel:live")
        );
        assert_eq!(
            arn(Operation::DeleteChannel),
            "arn:aws:states:eu-west-1:1:stateMachine:other"
        );
    }

    #[test]
    fn an_arn_with_a_version_or_an_alias_keeps_it() {
        let machines = StateMachines::default()
            .with(Operation::DeleteChannel, StateMachineArn::new(OWN).unwrap())
            .by_alias("next")
            .unwrap();
        assert_eq!(
            machines.get(Operation::DeleteChannel).unwrap().as_str(),
            OWN
        );
    }

    #[test]
    fn one_workflows_own_arn_is_enough() {
        for (variable, operation) in [
            (
                "APGL_NOTIFY_PUBLIC_CHANNEL_ARN",
                Operation::NotifyPublicChannel,
            ),
            ("APGL_NOTIFY_PERSON_ARN", Operation::NotifyPerson),
        ] {
            let machines = read(&[(variable, OWN)]).unwrap();
            assert!(machines.get(operation).is_some());
            assert!(machines.get(Operation::CreateChannel).is_none());
        }
    }

    #[rstest]
    #[case("APGL_STATE_MACHINES", "apgl")]
    #[case("APGL_STATE_MACHINES", "arn:aws:states:eu-west-1:1:stateMachine:")]
    #[case(
        "APGL_STATE_MACHINES",
        "arn:aws:states:eu-west-1:1:stateMachine:apgl:live"
    )]
    #[case("APGL_STATE_MACHINE_ALIAS", "a:b")]
    #[case("APGL_STATE_MACHINE_ALIAS", "12")]
    #[case("APGL_CREATE_CHANNEL_ARN", "arn:aws:states:eu-west-1:1:execution:a:b")]
    #[case("APGL_CREATE_CHANNEL_ARN", "arn:aws:states::1:stateMachine:a")]
    fn an_invalid_variable_is_named(#[case] name: &str, #[case] value: &str) {
        let error = read(&[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("environment variable {name} must be")));
    }

    #[test]
    fn an_empty_environment_says_what_to_set() {
        let error = read(&[("APGL_STATE_MACHINES", "")]).unwrap_err();
        assert_eq!(error, ConfigError::NoStateMachine);
    }

    #[rstest]
    #[case("arn:aws:states:eu-west-1:1:stateMachine:apgl-x")]
    #[case("arn:aws:states:eu-west-1:1:stateMachine:apgl-x:live")]
    fn an_execution_belongs_to_the_state_machine_regardless_of_its_alias(#[case] arn: &str) {
        let name = ExecutionName::from_key("p", "k").unwrap();
        assert_eq!(
            StateMachineArn::new(arn).unwrap().execution(&name),
            format!("arn:aws:states:eu-west-1:1:execution:apgl-x:{name}")
        );
    }
}
