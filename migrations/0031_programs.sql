-- Versions that a program of their author's answers for.

ALTER TABLE model_versions
    DROP CONSTRAINT model_versions_runtime_check,
    ADD CONSTRAINT model_versions_runtime_check
        CHECK (runtime IN ('onnx', 'python', 'external', 'process', 'none'));
