# A browser, in its own sandbox and without. The page comes from $FAR, or else from a server of our own.
if [ -z "${FAR:-}" ]; then
  node page.mjs >port & until [ -s port ]; do sleep 0.02; done
  FAR=127.0.0.1:$(cat port)
fi
for how in '' --no-sandbox; do
  chromium-headless-shell $how --disable-gpu --dump-dom "http://$FAR/" >page 2>log; echo status $?
  grep -o '<p>{.*' page || { cat log >&2; exit 1; }
done
