"""`make design-space`: what bpo-22003 weighed for io.BytesIO, built and measured."""
