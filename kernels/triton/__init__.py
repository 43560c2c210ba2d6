"""Kernels in Triton; installed as `amt._triton`. Nothing else imports triton."""
