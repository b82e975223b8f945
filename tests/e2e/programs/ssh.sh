# A daemon and its client: commands, bytes both ways, a tunnel; git through it, and over http.
A=$(free_port) B=$(free_port) C=$(free_port)
ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f user; chmod 600 user
cat >daemon <<D
Port $A
ListenAddress 127.0.0.1
HostKey $PWD/host
AuthorizedKeysFile $PWD/user.pub
StrictModes no
UsePAM no
PidFile none
Subsystem sftp /usr/lib/openssh/sftp-server
D
"$(command -v sshd || echo /usr/sbin/sshd)" -D -f daemon -E "$PWD/log" &
options="-i $PWD/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
remote() { ssh -p "$A" $options 127.0.0.1 "$@"; }
listening "$A"
remote 'echo hello; echo oops >&2; exit 7' 2>&1; echo status $?
head -c 2000000 /dev/zero | tr '\0' s >file
remote cat <file | cmp - file && echo the same
scp -q -P "$A" $options file "127.0.0.1:$PWD/copy" && cmp file copy && echo copied
python3 -m http.server -b 127.0.0.1 "$B" >/dev/null 2>&1 &
listening "$B"
ssh -p "$A" $options -N -L "$C:127.0.0.1:$B" 127.0.0.1 &
listening "$C"
curl -sS "http://127.0.0.1:$C/file" | cmp - file && echo through the tunnel
export GIT_SSH_COMMAND="ssh $options"
git init -q --bare all.git; git init -q work
git -C work -c user.name=me -c user.email=me@localhost commit -q --allow-empty -m first
git -C work push -q "ssh://127.0.0.1:$A$PWD/all.git" HEAD:main; echo pushed $?
git clone -q -b main "ssh://127.0.0.1:$A$PWD/all.git" one; echo cloned $?
git -C all.git update-server-info
git clone -q -b main "http://127.0.0.1:$B/all.git" two; git -C two log --format=%s
