//! safetensors files to float32 tensors and back.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::{ModelError, files};

const FILE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Every tensor of a model's folder as float32, from one file or from the shards that its index names.
pub(crate) fn load(dir: &Path) -> Result<HashMap<String, Tensor>, ModelError> {
    let index = dir.join(INDEX);
    let mut names = BTreeSet::from([FILE.to_owned()]);
    if !dir.join(FILE).exists() && index.exists() {
        let broken = |reason: String| ModelError::Read {
            path: index.clone(),
            reason,
        };
        let parsed: Value =
            serde_json::from_slice(&files::read(&index)?).map_err(|e| broken(e.to_string()))?;
        let map = parsed["weight_map"]
            .as_object()
            .ok_or_else(|| broken("it has no weight_map".into()))?;
        names = map
            .values()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
    }
    let mut tensors = HashMap::new();
    for name in names {
        let path = dir.join(name);
        let content = files::read(&path)?;
        let broken = |reason: String| ModelError::Read {
            path: path.clone(),
            reason,
        };
        let views = SafeTensors::deserialize(&content)
            .map_err(|e| broken(format!("it is no whole safetensors file: {e}")))?;
        for (name, view) in views.tensors() {
            let tensor = to_tensor(&view).map_err(|e| broken(format!("tensor {name}: {e}")))?;
            tensors.insert(name, tensor);
        }
    }
    Ok(tensors)
}

fn to_tensor(view: &TensorView<'_>) -> Result<Tensor, String> {
    let kind = match view.dtype() {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F16 => Kind::Half,
        other => return Err(format!("its type {other:?} is no floating-point type")),
    };
    let shape: Vec<i64> = view.shape().iter().map(|d| *d as i64).collect();
    let tensor = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|e| e.to_string())?;
    Ok(tensor.to_kind(Kind::Float))
}

/// Writes tensors as one file with the metadata that transformers asks for.
pub(crate) fn save(dir: &Path, tensors: &[(String, Tensor)]) -> Result<(), ModelError> {
    let path = dir.join(FILE);
    let failed = |reason: String| ModelError::Write {
        path: path.clone(),
        reason,
    };
    let mut raw = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let shape: Vec<usize> = tensor.size().iter().map(|d| *d as usize).collect();
        let values = Vec::<f32>::try_from(tensor.detach().contiguous().view(-1))
            .map_err(|e| failed(e.to_string()))?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        raw.push((name.as_str(), shape, bytes));
    }
    let mut views = Vec::with_capacity(raw.len());
    for (name, shape, bytes) in &raw {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        views.push((
            *name,
            view.map_err(|e| failed(format!("tensor {name}: {e}")))?,
        ));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let content =
        safetensors::serialize(views, Some(metadata)).map_err(|e| failed(e.to_string()))?;
    files::write(&path, &content)
}
