#!/bin/bash
# Makes the certificates of the three nodes, once. The authority's key stays in a
# volume that no node mounts. Passwords are looked at first: a cluster that
# begins without them would begin with those that everybody knows.
set -euo pipefail

for name in EVENTSTORE_ADMIN_PASSWORD EVENTSTORE_OPS_PASSWORD DAYBOOK_STORE_PASSWORD; do
  case "${!name}" in
    '') echo "$name is not set" >&2; exit 1 ;;
    *[!A-Za-z0-9_-]*) echo "$name: letters, digits, _ and - only, because it goes into URLs" >&2; exit 1 ;;
  esac
done

# The tool refuses a folder that exists, and ends well all the same: what lacks
# its key is made anew, and is missed below if that failed.
if [ ! -f /authority/ca/ca.key ]; then
  rm -rf /authority/ca /certificates/node?
  es-gencert-cli create-ca -out /authority/ca
fi
mkdir -p /certificates/ca
cp /authority/ca/ca.crt /certificates/ca/ca.crt
for node in node1 node2 node3; do
  [ -f "/certificates/$node/node.key" ] && continue
  rm -rf "/certificates/$node"
  es-gencert-cli create-node -ca-certificate /authority/ca/ca.crt -ca-key /authority/ca/ca.key \
    -out "/certificates/$node" -dns-names "$node,localhost" -ip-addresses 127.0.0.1
done

# The nodes run as 1000; daybook, another user, needs the authority's certificate.
chown -R 1000:1000 /certificates
chmod 0755 /certificates /certificates/ca /certificates/node?
chmod 0644 /certificates/ca/ca.crt /certificates/node?/node.crt
chmod 0600 /certificates/node?/node.key
