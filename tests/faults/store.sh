#!/bin/sh
# A store of keys that obeys: one file for each agent in the folder $1. The file "$1.orders" has one word for
# each call, used up from the top; a word that ends in ".." stays. Without a word the store just works.
#   fail, hang, kill     do that instead of anything else (kill: the program that started us)
#   tell                 fails, and puts the key into its complaint
#   then-fail, then-hang, then-kill    do the work first
#   swap                 stores, or prints, something else
# With "ids" as $2 it does not print the key when it is asked, but the id of the key.
place="$1/$ALTER_SYNC_AGENT.txt"
order=$(head -n 1 "$1.orders" 2>/dev/null)
case $order in
  *..) order=${order%..} ;;
  ?*) tail -n +2 "$1.orders" >"$1.orders.rest" && mv "$1.orders.rest" "$1.orders" ;;
esac

misbehave() {
  case $1 in
    fail) echo "no luck today" >&2; exit 7 ;;
    hang) sleep 60 ;;
    kill) kill -9 "$PPID"; exit 1 ;;
  esac
}

misbehave "$order"
if [ "$ALTER_SYNC_ACTION" = deliver ]; then
  key=$(cat)
  [ "$order" = tell ] && { echo "cannot store $key" >&2; exit 7; }
  [ "$order" = swap ] && key=something-else
  mkdir -p "$1" && printf %s "$key" >"$place.new" && mv "$place.new" "$place" || exit 8
  printf '{"key_id": "%s"}' "$ALTER_SYNC_KEY_ID" >"$place.id"
elif [ "$order" = swap ]; then
  echo something-else
elif [ "$2" = ids ] && [ -e "$place.id" ]; then
  cat "$place.id"
elif [ -e "$place" ]; then
  cat "$place"
fi
misbehave "${order#then-}"
exit 0
