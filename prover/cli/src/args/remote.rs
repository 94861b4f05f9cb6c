//! Arguments of the commands that talk to a proving service.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use vinfer_client::Digest;

/// Arguments of `remote`.
#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// How to reach the service.
    #[command(flatten)]
    pub(crate) place: RemotePlace,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: RemoteCommand,
}

/// How to reach a service. The API key comes from a file or from VINFER_API_KEY, never from the command line, where other
/// users of the machine see it.
#[derive(Debug, Clone, Args)]
pub(crate) struct RemotePlace {
    /// Address of the service's HTTP [default: VINFER_URL, else http://127.0.0.1:8080]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// File with the API key [default: the variable VINFER_API_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Trust these certificates (PEM) in place of the machine's
    #[arg(long, global = true, value_name = "FILE.pem")]
    pub(crate) ca: Option<PathBuf>,
    /// Send the key to another machine without TLS
    #[arg(long, global = true)]
    pub(crate) insecure: bool,
    /// Longest wait, in seconds, for a model or a proof
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) patience: u64,
}

/// What can be done with a service.
#[derive(Debug, Subcommand)]
pub(crate) enum RemoteCommand {
    /// Whether the service takes requests; needs no key. Exit code 0 or 1
    Health,
    /// Upload a model in pieces and wait until it can be run
    Upload(RemoteUpload),
    /// List the models
    Models,
    /// Download a model's verifying key
    Vk(RemoteVk),
    /// Run a model on one sample; with --verify, check the proof of the outputs here
    Infer(RemoteInfer),
    /// Wait until a job is done
    Wait {
        /// Job that `infer --prove` named
        #[arg(value_name = "JOB")]
        job: String,
    },
    /// Download a proof, and its entry in the transparency log
    Proof(RemoteProof),
    /// Check a downloaded proof and its log entry; nothing is asked of the service
    Verify(RemoteVerify),
}

/// Arguments of `remote upload`.
#[derive(Debug, Args)]
pub(crate) struct RemoteUpload {
    /// Quantised ONNX model
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    /// Name to give it
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// Do not wait until it is compiled
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Arguments of `remote vk`.
#[derive(Debug, Args)]
pub(crate) struct RemoteVk {
    /// Name of the model
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// Demand the key file with this BLAKE3 digest, known from the model's publisher
    #[arg(long, value_name = "HEX32")]
    pub(crate) digest: Option<Digest>,
    /// Key file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Arguments of `remote infer`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("checked").args(["verify"]).requires_all(["vk"]))]
pub(crate) struct RemoteInfer {
    /// Name of the model
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// Inputs: .npz, .npy or .json, one array per graph input, first axis = sample
    #[arg(long, value_name = "IN.npz")]
    pub(crate) input: PathBuf,
    /// Sample to run
    #[arg(long, value_name = "I", default_value_t = 0)]
    pub(crate) index: u64,
    /// Outputs to write
    #[arg(short, long, value_name = "OUT.npz")]
    pub(crate) output: Option<PathBuf>,
    /// Order a proof; without --proof or --verify it is not waited for
    #[arg(long)]
    pub(crate) prove: bool,
    /// Proof file to write
    #[arg(long, value_name = "FILE.proof")]
    pub(crate) proof: Option<PathBuf>,
    /// Check here that the proof is for the inputs sent, the outputs received and the pinned key
    #[arg(long)]
    pub(crate) verify: bool,
    /// Pinned verifying key, from the model's publisher
    #[arg(long, value_name = "FILE")]
    pub(crate) vk: Option<PathBuf>,
    /// 32 bytes in hexadecimal that the proof is bound to [default: zeros]
    #[arg(long, value_name = "HEX32", conflicts_with = "fresh")]
    pub(crate) context: Option<Digest>,
    /// Bind the proof to random bytes, so that no older proof will do
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Demand an entry in the transparency log signed by this key
    #[arg(long, value_name = "HEX32", requires = "verify")]
    pub(crate) log_key: Option<Digest>,
    /// File with the last head seen of the log: the log must continue it, and the file is brought up to date
    #[arg(long, value_name = "FILE.json", requires = "log_key")]
    pub(crate) log_state: Option<PathBuf>,
}

/// Arguments of `remote proof`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("subject").required(true).args(["job", "statement"]))]
pub(crate) struct RemoteProof {
    /// Job that made it
    #[arg(long, value_name = "JOB")]
    pub(crate) job: Option<String>,
    /// Statement that it shows
    #[arg(long, value_name = "HEX32")]
    pub(crate) statement: Option<Digest>,
    /// Proof file to write
    #[arg(short, long, value_name = "FILE.proof")]
    pub(crate) output: PathBuf,
    /// Entry in the transparency log to write
    #[arg(long, value_name = "FILE.json")]
    pub(crate) entry: Option<PathBuf>,
}

/// Arguments of `remote verify`.
#[derive(Debug, Args)]
pub(crate) struct RemoteVerify {
    /// What `vinfer verify` takes.
    #[command(flatten)]
    pub(crate) proof: super::Verify,
    /// Entry in the transparency log that `remote proof --entry` wrote
    #[arg(long, value_name = "FILE.json", requires = "log_key")]
    pub(crate) entry: Option<PathBuf>,
    /// Public key of the log
    #[arg(long, value_name = "HEX32", requires = "entry")]
    pub(crate) log_key: Option<Digest>,
}
