#!/bin/bash
# As the image's own: refuses read-only files below /opt/couchdb, wants an administrator, drops root.
set -e
find /opt/couchdb \! \( -user couchdb -group couchdb \) -exec chown -f couchdb:couchdb '{}' +
[ "$COUCHDB_USER" ] && [ "$COUCHDB_PASSWORD" ]
rm -f /tmp/config.json
printf '{"admins": {"%s": "%s"}, "log": {"level": "error", "file": "/tmp/couch.log"}}' "$COUCHDB_USER" "$COUCHDB_PASSWORD" >/tmp/config.json
chown couchdb /tmp/config.json
exec setpriv --reuid=couchdb --regid=couchdb --clear-groups node --unhandled-rejections=warn /usr/local/bin/door.js
