"""The dialect over gRPC: `ModelInfer`, and Triton's `ModelStreamInfer`. All of it that knows gRPC and Protobuf."""
