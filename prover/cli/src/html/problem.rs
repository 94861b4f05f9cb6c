//! What stands in the way of compiling, in parts that can be shown apart.

use crate::engine::Problem as Reason;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Node and operator, where there is one.
    pub(super) node: Option<(String, String)>,
    /// Why it does not compile.
    pub(super) reason: String,
    /// What to do about it, where the reason does not say it.
    pub(super) remedy: Option<String>,
    /// Tensor that a reader would look for.
    pub(super) tensor: Option<String>,
}

impl Problem {
    /// A reason of the compiler.
    pub(crate) fn of(error: &Reason) -> Self {
        if let Reason::UnsupportedOperator { node, operator, reason, remedy }
        | Reason::PartlyQuantised { node, operator, reason, remedy } = error
        {
            let floating = matches!(error, Reason::PartlyQuantised { .. });
            return Self {
                node: Some((node.clone(), operator.clone())),
                reason: if floating { format!("stays in floating point: {reason}") } else { reason.clone() },
                remedy: Some(remedy.clone()),
                tensor: None,
            };
        }
        let node = match error {
            Reason::DynamicQuantisation { node, operator }
            | Reason::BiasScale { node, operator, .. }
            | Reason::AccumulatorOverflow { node, operator, .. }
            | Reason::BadShape { node, operator, .. }
            | Reason::BadAttribute { node, operator, .. } => Some((node.clone(), operator.clone())),
            _ => None,
        };
        let message = error.to_string();
        let prefix = node.as_ref().map_or_else(String::new, |(node, operator)| format!("node `{node}` ({operator}): "));
        let rest = message.strip_prefix(&prefix).unwrap_or(&message);
        let (reason, remedy) = split(rest);
        Self { node, reason, remedy, tensor: None }
    }

    /// A reason of the lowering, about a tensor of the program where it names one.
    pub(crate) fn of_lowering(error: &vinfer_circuits::lower::LowerError) -> Self {
        use vinfer_circuits::lower::LowerError;
        let tensor = match error {
            LowerError::Reshape { tensor } | LowerError::Shape { tensor } => Some(tensor.clone()),
            LowerError::TooLarge(_) => None,
        };
        let (reason, remedy) = split(&error.to_string());
        Self { node: None, reason, remedy, tensor }
    }
}

/// Reason and remedy of a message that has both.
fn split(message: &str) -> (String, Option<String>) {
    match message.rsplit_once("; ") {
        Some((reason, remedy)) => (reason.to_owned(), Some(remedy.to_owned())),
        None => (message.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_remedies_come_apart() {
        let error = Reason::BiasScale { node: "a; b".into(), operator: "Conv".into(), reason: "scale 3".into() };
        let problem = Problem::of(&error);
        assert_eq!(problem.node, Some(("a; b".into(), "Conv".into())));
        assert_eq!(problem.reason, "scale 3");
        assert!(problem.remedy.is_some_and(|remedy| remedy.starts_with("quantise the bias")));
        let whole = Problem::of(&Reason::BadGraph { reason: "two `x`".into() });
        assert_eq!((whole.node, whole.remedy), (None, None));
    }
}
