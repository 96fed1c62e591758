# The service in an image: `make image` builds it with buildah, podman or docker.
#
# Third parties come from requirements/service.txt, by hash, as wheels: nothing is compiled. The one that counts tokens
# comes without its own dependencies, which only fetch files from a hub. Both stages start from the same image, because
# the environment that the first one makes refers to the interpreter of the second.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build

# For a build without a network: PIP_NO_INDEX=1, and PIP_FIND_LINKS=DIR with the wheels in a volume there.
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
# Times before 1980 cannot be told in a wheel.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SOURCE_DATE_EPOCH=315532800
WORKDIR /build
# The installer and the builder of wheels live in an environment that stays behind.
RUN python3 -m venv tools && python3 -m venv --without-pip /opt/pointsman
COPY requirements/build.txt requirements/service.txt requirements/tokenizers.txt requirements/
RUN tools/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements/build.txt \
 && tools/bin/pip --python /opt/pointsman/bin/python install --quiet --no-compile --require-hashes \
      --only-binary :all: -r requirements/service.txt \
 && tools/bin/pip --python /opt/pointsman/bin/python install --quiet --no-compile --require-hashes --no-deps \
      --only-binary :all: -r requirements/tokenizers.txt
COPY pyproject.toml README.md LICENSE ./
COPY clients/python clients/python
COPY service service
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels ./clients/python . \
 && tools/bin/pip --python /opt/pointsman/bin/python install --quiet --no-compile --no-deps --no-index wheels/*.whl
# Compiled here, since the file system is read-only later. Hashes instead of times keep the layer the same every time.
RUN /opt/pointsman/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/pointsman/lib

FROM ${PYTHON_IMAGE}

ARG PYTHON_IMAGE
ARG VERSION=0.1.0.dev0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pointsman" \
      org.opencontainers.image.description="gRPC service that routes inference calls to model backends" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
# Whatever of installers the base brings along: nothing is installed any more.
RUN if python3 -c 'import pip' 2>/dev/null; then python3 -m pip uninstall --yes --quiet setuptools wheel pip; fi
COPY --from=build /opt/pointsman /opt/pointsman
COPY LICENSE /opt/pointsman/LICENSE
ENV PATH=/opt/pointsman/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    POINTSMAN_CONFIG=/etc/pointsman/pointsman.yaml
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 50051 9464
# It drains, then ends with status 0. The process is the server itself, not a shell that would keep the signal.
STOPSIGNAL SIGTERM
ENTRYPOINT ["pointsman-server"]
CMD ["serve"]
