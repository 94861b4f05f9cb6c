//! Resize and Upsample to the nearest element.

use super::Lowering;
use super::moves::{Move, MoveKind};
use crate::error::CompileError;
use crate::graph::Node;
use crate::shapes;

/// How an output coordinate becomes an input coordinate.
#[derive(Clone, Copy)]
enum Coordinates {
    HalfPixel,
    PytorchHalfPixel,
    HalfPixelSymmetric,
    AlignCorners,
    Asymmetric,
}

/// How a coordinate becomes an index.
#[derive(Clone, Copy)]
enum Nearest {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
    /// Before operator set 11: up when shrinking, down when growing.
    Simple,
}

impl Lowering<'_> {
    pub(super) fn resize_move(&self, node: &Node, shape: &[u32]) -> Result<Move, CompileError> {
        let old = node.op == "Upsample" || self.graph.opset < 11;
        if node.text("mode", "nearest")? != "nearest" {
            return Err(node.unsupported(
                "it interpolates in floating point",
                "use mode = nearest, or a depthwise ConvTranspose with constant weights",
            ));
        }
        let (coordinates, nearest) = if old {
            (Coordinates::Asymmetric, Nearest::Simple)
        } else {
            let coordinates = match node.text("coordinate_transformation_mode", "half_pixel")? {
                "half_pixel" => Coordinates::HalfPixel,
                "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
                "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
                "align_corners" => Coordinates::AlignCorners,
                "asymmetric" => Coordinates::Asymmetric,
                other => {
                    return Err(node.unsupported(
                        format!("coordinate_transformation_mode = {other}"),
                        "use half_pixel, pytorch_half_pixel, half_pixel_symmetric, align_corners or asymmetric",
                    ));
                }
            };
            let nearest = match node.text("nearest_mode", "round_prefer_floor")? {
                "round_prefer_floor" => Nearest::PreferFloor,
                "round_prefer_ceil" => Nearest::PreferCeil,
                "floor" => Nearest::Floor,
                "ceil" => Nearest::Ceil,
                other => return Err(node.bad_attribute("nearest_mode", format!("unknown value `{other}`"))),
            };
            (coordinates, nearest)
        };
        let (out, scales) = self.resized(node, shape, old)?;
        shapes::check(node, &out)?;
        if matches!(coordinates, Coordinates::HalfPixelSymmetric) && !robust(shape, &out, &scales, nearest) {
            return Err(node.unsupported(
                "half_pixel_symmetric with a coordinate at the border of two elements",
                "use coordinate_transformation_mode = half_pixel",
            ));
        }
        let lists = shape.iter().zip(&out).zip(&scales).map(|((&from, &to), &scale)| {
            let all = (0..to).map(|i| {
                let index =
                    if scale == 1.0 { i64::from(i) } else { nearest.of(coordinates.of(i, scale, from, to), scale) };
                index.clamp(0, i64::from(from) - 1) as u32
            });
            super::arrange::indices(all.collect())
        });
        Ok(Move { kind: MoveKind::Select(lists.collect()), shape: out })
    }

    /// The result's shape and the scale of each axis.
    fn resized(&self, node: &Node, shape: &[u32], old: bool) -> Result<(Vec<u32>, Vec<f32>), CompileError> {
        let rank = shape.len();
        if node.text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
            return Err(node.unsupported("keep_aspect_ratio_policy", "give scales or stretch"));
        }
        let axes: Vec<usize> = match node.ints("axes")? {
            Some(axes) => axes.iter().map(|&a| shapes::axis(node, a, rank)).collect::<Result<_, _>>()?,
            None => (0..rank).collect(),
        };
        let floats = match node.attributes.get("scales") {
            Some(crate::graph::Attribute::Floats(v)) => Some(v.clone()),
            _ => {
                let tensor = self.constant(node, if old { 1 } else { 2 })?;
                tensor.and_then(|t| t.floats()).map(<[f32]>::to_vec).filter(|v| !v.is_empty())
            }
        };
        let bad = |what: &str| node.bad_attribute(what, format!("does not fit {shape:?}"));
        let (mut out, mut scales) = (shape.to_vec(), vec![1f32; rank]);
        if let Some(floats) = floats {
            if floats.len() != axes.len() || floats.iter().any(|s| !s.is_finite() || *s <= 0.0) {
                return Err(bad("scales"));
            }
            for (&axis, &scale) in axes.iter().zip(&floats) {
                scales[axis] = scale;
                let size = scale * shape[axis] as f32;
                if size >= 4e9 {
                    return Err(bad("scales"));
                }
                out[axis] = size as u32;
            }
        } else {
            let sizes = self.integer_list(node, 3)?.filter(|s| s.len() == axes.len()).ok_or_else(|| bad("sizes"))?;
            for (&axis, &size) in axes.iter().zip(&sizes) {
                out[axis] = u32::try_from(size).map_err(|_| bad("sizes"))?;
                scales[axis] = out[axis] as f32 / shape[axis] as f32;
            }
        }
        Ok((out, scales))
    }
}

/// Whether small differences of the symmetric coordinates select the same elements.
fn robust(shape: &[u32], out: &[u32], scales: &[f32], nearest: Nearest) -> bool {
    shape.iter().zip(out).zip(scales).all(|((&from, &to), &scale)| {
        (0..to).all(|i| {
            let x = Coordinates::HalfPixelSymmetric.of(i, scale, from, to);
            let at = |x: f32| nearest.of(x, scale).clamp(0, i64::from(from) - 1);
            scale == 1.0 || at(x - 1e-4) == at(x + 1e-4)
        })
    })
}

impl Coordinates {
    /// In single precision, as the runtime computes it.
    fn of(self, at: u32, scale: f32, from: u32, to: u32) -> f32 {
        let (x, from_len, to_len) = (at as f32, from as f32, to as f32);
        match self {
            Self::HalfPixel => (x + 0.5) / scale - 0.5,
            Self::PytorchHalfPixel if to > 1 => (x + 0.5) / scale - 0.5,
            Self::PytorchHalfPixel => 0.0,
            Self::HalfPixelSymmetric => {
                let adjustment = to_len / (scale * from_len);
                let offset = from_len / 2.0 * (1.0 - adjustment);
                offset + (x + 0.5) / scale - 0.5
            }
            Self::AlignCorners if to == 1 => 0.0,
            Self::AlignCorners => x * (from_len - 1.0) / (to_len - 1.0),
            Self::Asymmetric => x / scale,
        }
    }
}

impl Nearest {
    fn of(self, x: f32, scale: f32) -> i64 {
        (match self {
            Self::PreferFloor if x == x.trunc() + 0.5 => x.trunc(),
            Self::PreferFloor | Self::PreferCeil => x.round(),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Simple if scale < 1.0 => x.ceil(),
            Self::Simple => x.trunc(),
        }) as i64
    }
}
