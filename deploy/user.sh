#!/bin/bash
# Makes the user that daybook connects as, in no group, unless it is there.
set -euo pipefail

for attempt in {1..60}; do
  for node in node1 node2 node3; do
    status=$(printf 'user = "admin:%s"\ndata = "{\\"loginName\\":\\"daybook\\",\\"fullName\\":\\"Daybook\\",\\"groups\\":[],\\"password\\":\\"%s\\"}"\n' \
      "$EVENTSTORE_ADMIN_PASSWORD" "$DAYBOOK_STORE_PASSWORD" |
      curl --silent --output /dev/null --write-out '%{http_code}' --max-time 5 --config - \
        --cacert /certificates/ca/ca.crt --header 'Content-Type: application/json' "https://$node:2113/users/" || true)
    case "$status" in
      201) echo "made the user daybook"; exit 0 ;;
      409) echo "the user daybook is there"; exit 0 ;;
    esac
  done
  sleep 1
done
echo "the user daybook could not be made: the last answer was $status" >&2
exit 1
