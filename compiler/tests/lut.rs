//! Tables of unary functions equal those that ONNX Runtime uses.

use serde_json::Value;
