# Freshet as an image: `freshet worker` in a container, every other command by `docker run freshet <command>`.
# The packages of requirements-runtime.lock (see `make lock`): no development tools, no local Kafka.

FROM python:3.12.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/freshet
WORKDIR /src
# The packages change rarely and are a layer of their own: a change of the source does not fetch them again.
COPY requirements-runtime.lock ./
RUN pip --python /opt/freshet install --only-binary :all: --require-hashes -r requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY recsys recsys
COPY streams streams
RUN pip --python /opt/freshet install --no-deps --no-build-isolation . \
    && pip --python /opt/freshet uninstall --yes setuptools

FROM python:3.12.12-slim-bookworm
RUN groupadd --gid 10001 freshet && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp freshet
COPY --from=build /opt/freshet /opt/freshet
ENV PATH=/opt/freshet/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/var/cache/freshet
RUN install --directory --owner=freshet --group=freshet "$NUMBA_CACHE_DIR"
USER 10001:10001
# What numba compiles is kept in the image, so that a container is ready at once. The cache is writable: on another kind of
# processor than that of the build it is made anew at the first start, which takes a minute or less.
RUN python -c "from streams.settings import read_settings; from streams.warmup import warm_up; warm_up(read_settings({}).rules)"
WORKDIR /tmp
ENTRYPOINT ["freshet"]
CMD ["worker"]
