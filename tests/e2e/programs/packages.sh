# Package managers and fetchers, as a build or an agent starts them: $FAR is the registry, and their proxy.
echo '{"name": "here", "dependencies": {"leaf": "^1.0.0"}}' >package.json
npm install --no-audit --no-fund --loglevel=error --registry="http://$FAR" >/dev/null; echo npm $?
node -p 'require("leaf")'
pip() { /usr/bin/python3 -m pip "$@" --no-input --disable-pip-version-check --trusted-host "${FAR%:*}" -i "http://$FAR/simple"; }
pip install -q --target packages leaf 2>&1; echo pip $?
PYTHONPATH=packages /usr/bin/python3 -c 'import leaf; print(leaf.word)'
export http_proxy="http://$FAR"
curl -sS http://nobody.invalid/curl; wget -q -O - http://nobody.invalid/wget
/usr/bin/python3 -c 'import urllib.request as u; print(u.urlopen("http://nobody.invalid/python").read())'
