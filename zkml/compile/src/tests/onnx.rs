//! Builds ONNX models for tests, node by node.

use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, attribute_proto::AttributeType, type_proto,
};

/// A file of the example models.
pub(crate) fn example(file: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models");
    std::fs::read(folder.join(file)).unwrap()
}

/// An ONNX model in the making; random constants come from one seed.
#[derive(Clone)]
pub(crate) struct Onnx {
    pub(super) graph: GraphProto,
    rng: ChaCha20Rng,
    opset: i64,
}

pub(super) fn value_info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&d: &i64| {
        let value = if d > 0 {
            Dim::DimValue(d)
        } else {
            Dim::DimParam("n".into())
        };
        Dimension {
            value: Some(value),
            ..Dimension::default()
        }
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dim).collect(),
    };
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(shape),
    };
    let kind = TypeProto {
        value: Some(type_proto::Value::TensorType(tensor)),
        ..TypeProto::default()
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(kind),
        ..ValueInfoProto::default()
    }
}

/// The file with these inputs: their names, types and sizes.
pub(crate) fn given_ports(mut onnx: Onnx, ports: &[(&str, i32, &[i64])]) -> Vec<u8> {
    let port = |(name, kind, dims): &(&str, i32, &[i64])| {
        let mut port = value_info(name, dims);
        if let Some(type_proto::Value::TensorType(tensor)) =
            port.r#type.as_mut().and_then(|t| t.value.as_mut())
        {
            tensor.elem_type = *kind;
        }
        port
    };
    onnx.graph.input = ports.iter().map(port).collect();
    onnx.bytes()
}

pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..AttributeProto::default()
    }
}

impl Onnx {
    pub(crate) fn new(input: &[i64]) -> Self {
        let graph = GraphProto {
            name: "g".into(),
            input: vec![value_info("x", input)],
            output: vec![value_info("y", &[])],
            ..GraphProto::default()
        };
        Self {
            graph,
            rng: ChaCha20Rng::seed_from_u64(5),
            opset: 13,
        }
    }

    /// In another version of ONNX.
    pub(super) fn opset(mut self, version: i64) -> Self {
        self.opset = version;
        self
    }

    /// Says that its output is of whole numbers.
    pub(crate) fn output_of_int64(&mut self) {
        for port in &mut self.graph.output {
            let kind = port.r#type.as_mut().unwrap().value.as_mut().unwrap();
            let type_proto::Value::TensorType(tensor) = kind;
            (tensor.elem_type, tensor.shape) = (DataType::Int64 as i32, None);
        }
    }

    /// One input more.
    pub(crate) fn input(mut self, name: &str, dims: &[i64]) -> Self {
        self.graph.input.push(value_info(name, dims));
        self
    }

    pub(crate) fn node(
        mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        self.graph.node.push(NodeProto {
            name: format!("{output}_{op}"),
            op_type: op.into(),
            input: inputs.iter().map(|&i| i.into()).collect(),
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        });
        self
    }

    pub(crate) fn constant(mut self, name: &str, dims: &[i64], values: Vec<f32>) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: DataType::Float as i32,
            float_data: values,
            ..TensorProto::default()
        });
        self
    }

    pub(crate) fn random(mut self, name: &str, dims: &[i64]) -> Self {
        let len = dims.iter().product::<i64>();
        let values = (0..len).map(|_| self.rng.gen_range(-1.0..1.0)).collect();
        self.constant(name, dims, values)
    }

    pub(crate) fn integers(mut self, name: &str, values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: DataType::Int64 as i32,
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let opset = |domain: &str, version| OperatorSetIdProto {
            domain: domain.to_owned(),
            version,
        };
        let mut opset_import = vec![opset("", self.opset)];
        if self.graph.node.iter().any(|n| n.domain == "ai.onnx.ml") {
            opset_import.push(opset("ai.onnx.ml", 3));
        }
        if self.graph.node.iter().any(|n| n.domain == "com.microsoft") {
            opset_import.push(opset("com.microsoft", 1));
        }
        let model = ModelProto {
            ir_version: 8,
            opset_import,
            graph: Some(self.graph.clone()),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

/// A small network with every kind of node: convolutions with and without bias, batch norm, residual, pooling.
pub(crate) fn network() -> Onnx {
    Onnx::new(&[0, 2, 6, 6])
        .random("k1", &[4, 2, 3, 3])
        .node("Conv", &["x", "k1"], "c1", vec![ints("pads", &[1, 1, 1, 1])])
        .random("scale", &[4])
        .random("shift", &[4])
        .constant("mean", &[4], vec![0.1, -0.2, 0.3, 0.0])
        .constant("variance", &[4], vec![1.0, 0.5, 2.0, 1.5])
        .node(
            "BatchNormalization",
            &["c1", "scale", "shift", "mean", "variance"],
            "n1",
            vec![],
        )
        .node("Relu", &["n1"], "r1", vec![])
        .random("k2", &[4, 2, 3, 3])
        .random("b2", &[4])
        .node(
            "Conv",
            &["r1", "k2", "b2"],
            "c2",
            vec![ints("pads", &[1, 1, 1, 1]), int("group", 2)],
        )
        .node("Add", &["c2", "r1"], "a", vec![])
        .node("Relu", &["a"], "r2", vec![])
        .node(
            "MaxPool",
            &["r2"],
            "p",
            vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
        )
        .node("AveragePool", &["p"], "q", vec![ints("kernel_shape", &[3, 3])])
        .node("Flatten", &["q"], "f", vec![])
        .random("w", &[5, 4])
        .random("b", &[5])
        .node("Gemm", &["f", "w", "b"], "y", vec![int("transB", 1)])
}
