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
/// The type of the weights that [`save`] writes, as `config.json` names it.
pub(crate) const DTYPE: &str = "float32";

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
        let read = of_bytes(&files::read(&path)?);
        tensors.extend(read.map_err(|reason| ModelError::Read { path, reason })?);
    }
    Ok(tensors)
}

/// Every tensor of a safetensors file's content as float32.
pub(crate) fn of_bytes(content: &[u8]) -> Result<HashMap<String, Tensor>, String> {
    let views = SafeTensors::deserialize(content)
        .map_err(|e| format!("it is not a whole safetensors file: {e}"))?;
    let named = views.tensors().into_iter().map(|(name, view)| {
        let tensor = to_tensor(&view).map_err(|e| format!("tensor {name}: {e}"))?;
        Ok((name, tensor))
    });
    named.collect()
}

fn to_tensor(view: &TensorView<'_>) -> Result<Tensor, String> {
    let kind = match view.dtype() {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F16 => Kind::Half,
        other => return Err(format!("its type {other:?} is not a floating-point type")),
    };
    let shape: Vec<i64> = view.shape().iter().map(|d| *d as i64).collect();
    let tensor = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|e| e.to_string())?;
    Ok(tensor.to_kind(Kind::Float))
}

/// Writes tensors as one file with the metadata that transformers asks for.
pub(crate) fn save(dir: &Path, tensors: &[(String, Tensor)]) -> Result<(), ModelError> {
    let path = dir.join(FILE);
    let content = to_bytes(tensors).map_err(|reason| ModelError::Write {
        path: path.clone(),
        reason,
    })?;
    files::write(&path, &content)
}

/// Returns that file's content, a function of names and values alone.
pub(crate) fn to_bytes(tensors: &[(String, Tensor)]) -> Result<Vec<u8>, String> {
    let mut raw = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let shape: Vec<usize> = tensor.size().iter().map(|d| *d as usize).collect();
        let values = Vec::<f32>::try_from(tensor.detach().contiguous().view(-1))
            .map_err(|e| e.to_string())?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        raw.push((name.as_str(), shape, bytes));
    }
    let mut views = Vec::with_capacity(raw.len());
    for (name, shape, bytes) in &raw {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        views.push((*name, view.map_err(|e| format!("tensor {name}: {e}"))?));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())
}
