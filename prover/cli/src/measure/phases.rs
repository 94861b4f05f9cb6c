//! Processor time of the prover's phases, from its tracing spans.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::Stopwatch;

/// Names and processor seconds of finished phases.
type Seconds = Vec<(&'static str, f64)>;

/// Notes the processor seconds between making and closing each span of the prover.
struct Phases(Arc<Mutex<Seconds>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Phases {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Stopwatch::start());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let extensions = span.extensions();
        let Some(watch) =
            extensions.get::<Stopwatch>().filter(|_| span.metadata().target().starts_with("vinfer_prover"))
        else {
            return;
        };
        let mut phases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        phases.push((span.name(), watch.elapsed().cpu));
    }
}

/// Runs a piece of work; returns the processor seconds of each phase it went through, in order.
pub(crate) fn phases<T>(work: impl FnOnce() -> T) -> (T, Seconds) {
    let seconds = Arc::new(Mutex::new(Seconds::new()));
    let subscriber = Registry::default().with(Phases(Arc::clone(&seconds)));
    let result = tracing::subscriber::with_default(subscriber, work);
    let seconds = std::mem::take(&mut *seconds.lock().unwrap_or_else(PoisonError::into_inner));
    (result, seconds)
}
