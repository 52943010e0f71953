#!/bin/sh
# Makes what python:3.11-slim-trixie is, out of Debian's packages: Debian 13, whose own Python is newer, with the
# Python 3.11 of Debian 12. Usage: debian_base.sh FOLDER
set -eu
folder=$1
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -m 1 -E '/debian/?$' || echo http://deb.debian.org/debian)

debootstrap --variant=minbase --include=ca-certificates trixie "$folder" "$mirror"
printf 'deb %s trixie main\ndeb %s bookworm main\n' "$mirror" "$mirror" >"$folder/etc/apt/sources.list"
# Whom this machine trusts: it may reach package indexes through a mirror of its own.
cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$folder/etc/ssl/certs/ca-certificates.crt"
# Debian splits off the modules ensurepip and venv, and headers; their packages depend on Debian 12's default
# Python, which does not go with Debian 13. What is in them is all that is needed.
chroot "$folder" sh -eu -c '
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq --yes --no-install-recommends python3.11
  cd /tmp
  apt-get download -qq python3.11-venv python3-pip-whl python3-setuptools-whl libpython3.11-dev
  for package in *.deb; do dpkg -x "$package" /; done
  rm -r ./*.deb /var/lib/apt/lists/*
  apt-get clean'
