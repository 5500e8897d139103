#!/bin/bash
exec "$(dirname "$0")/kafka-run" kafka.admin.ConfigCommand "$@"
