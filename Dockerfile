# Lockstep in a container, and its tests: docs/docker.md says with which flags they are run.
FROM debian:bookworm-slim AS lockstep
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
      build-essential ca-certificates git python3 python3-dev python3-venv valgrind \
      libbz2-dev libffi-dev liblzma-dev libreadline-dev libsqlite3-dev libssl-dev uuid-dev zlib1g-dev \
 && rm -rf /var/lib/apt/lists/* \
 && git config --system safe.directory "*"
COPY . /src
RUN python3 -m venv /opt/lockstep \
 && /opt/lockstep/bin/pip install --quiet --no-cache-dir -c /src/constraints.txt /src
# What was measured and what was built outlive the container.
ENV PATH=/opt/lockstep/bin:$PATH XDG_STATE_HOME=/data/state XDG_CACHE_HOME=/data/cache
VOLUME /data
WORKDIR /work
ENTRYPOINT ["lockstep"]
CMD ["doctor"]

FROM lockstep AS tests
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium hyperfine npm procps \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN make setup
ENTRYPOINT ["make"]
CMD ["test"]

# The server of deploy/compose.yaml.
FROM lockstep AS server
RUN /opt/lockstep/bin/pip install --quiet --no-cache-dir -c /src/constraints.txt "/src[service]"
EXPOSE 8822
CMD ["serve", "--host", "0.0.0.0"]

# The one that `docker build .` makes.
FROM lockstep
