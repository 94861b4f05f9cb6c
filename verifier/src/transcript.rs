//! How a transcript starts; shared with the prover.

use vinfer_circuits::hash::Digest;
use vinfer_circuits::statement::{PROTOCOL_VERSION, VerifyingKey};
use vinfer_circuits::transcript::Transcript;

/// A transcript that has absorbed protocol version, profile, key, statement and both commitments.
pub fn seed_transcript(
    key: &VerifyingKey,
    key_digest: &Digest,
    statement_digest: &Digest,
    witness_root: &Digest,
) -> Transcript {
    let mut transcript = Transcript::new("vinfer inference proof");
    transcript.absorb_bytes("version", &PROTOCOL_VERSION.to_le_bytes());
    transcript.absorb_bytes("profile", key.profile.name().as_bytes());
    transcript.absorb_bytes("key", key_digest);
    transcript.absorb_bytes("statement", statement_digest);
    transcript.absorb_bytes("constants root", &key.constants_root);
    transcript.absorb_bytes("witness root", witness_root);
    transcript
}
