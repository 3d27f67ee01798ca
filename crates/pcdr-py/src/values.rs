//! Values between Rust and Python: JSON, moments, durations.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pcdr_core::Timestamp;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyNone, PySequence, PyString,
};
use serde_json::{Map, Number, Value};

/// A JSON value as plain Python objects.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => PyNone::get(py).to_owned().into_any(),
        Value::Bool(it) => PyBool::new(py, *it).to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(it), _, _) => it.into_pyobject(py)?.into_any(),
            (None, Some(it), _) => it.into_pyobject(py)?.into_any(),
            (None, None, it) => PyFloat::new(py, it.unwrap_or(f64::NAN)).into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(items) => {
            let dict = PyDict::new(py);
            for (key, item) in items {
                dict.set_item(key, to_python(py, item)?)?;
            }
            dict.into_any()
        }
    })
}

/// Deeper than anything that is needed: a structure that holds itself has no end.
const DEEPEST: usize = 64;

/// Plain Python objects as a JSON value. `place` says where they stand, for people.
///
/// # Errors
///
/// `TypeError` for anything but mappings, sequences, text, numbers, truth values and None.
pub(crate) fn from_python(object: &Bound<'_, PyAny>, place: &str) -> PyResult<Value> {
    read(object, place, DEEPEST)
}

fn read(object: &Bound<'_, PyAny>, place: &str, depth: usize) -> PyResult<Value> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(PyValueError::new_err(format!("{place} is nested too deeply")));
    };
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(it) = object.cast::<PyBool>() {
        return Ok(Value::Bool(it.is_true()));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::String(text.to_str()?.to_owned()));
    }
    if object.is_instance_of::<PyInt>() {
        return object
            .extract::<i64>()
            .map(Value::from)
            .map_err(|_| PyValueError::new_err(format!("{place} is a number beyond 64 bits")));
    }
    if let Ok(number) = object.cast::<PyFloat>() {
        return Number::from_f64(number.value())
            .map(Value::Number)
            .ok_or_else(|| PyValueError::new_err(format!("{place} is no finite number")));
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let mut map = Map::new();
        for item in mapping.items()?.iter() {
            let (key, item): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            let key: String = key.extract().map_err(|_| wrong(place, "text as a key", &key))?;
            let value = read(&item, &format!("{place}.{key}"), depth)?;
            map.insert(key, value);
        }
        return Ok(Value::Object(map));
    }
    if let Ok(sequence) = object.cast::<PySequence>()
        && !object.is_instance_of::<pyo3::types::PyBytes>()
    {
        let items = (0..sequence.len()?)
            .map(|index| read(&sequence.get_item(index)?, &format!("{place}[{index}]"), depth));
        return items.collect::<PyResult<Vec<Value>>>().map(Value::Array);
    }
    if let Ok(path) = object.call_method0("__fspath__") {
        return read(&path, place, depth);
    }
    Err(wrong(place, "a mapping, sequence, text, number, truth value or None", object))
}

fn wrong(place: &str, needed: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let kind = found.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{place} was needed to be {needed}, but it is {kind}"))
}

/// A point in time as an aware `datetime` in UTC.
pub(crate) fn moment(at: Timestamp) -> SystemTime {
    let millis = at.unix_millis();
    let distance = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

/// An aware `datetime` as a point in time.
///
/// # Errors
///
/// `TypeError` for anything else, `ValueError` for a naive one.
pub(crate) fn timestamp(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Timestamp> {
    let datetime = object.py().import("datetime")?.getattr("datetime")?;
    if !object.is_instance(&datetime)? {
        return Err(wrong(name, "a datetime", object));
    }
    if object.call_method0("utcoffset")?.is_none() {
        return Err(PyValueError::new_err(format!(
            "{name} was needed timezone-aware, but it is naive: {object}; write datetime.now(timezone.utc)"
        )));
    }
    let time: SystemTime = object.extract()?;
    let since = time.duration_since(UNIX_EPOCH);
    let millis = match since {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    Ok(Timestamp::from_unix_millis(millis))
}
