// CouchDB's listeners in front of pouchdb-server, which answers anybody: logins wanted, /_up open, TLS where it is configured.
const fs = require('fs'), http = require('http'), https = require('https'), { spawn } = require('child_process');
const server = '/opt/pouchdb/node_modules/.bin/pouchdb-server';
const words = ['--dir', '/opt/couchdb/data', '--config', '/tmp/config.json', '--host', '127.0.0.1', '--port', '5985'];
const pouch = spawn('node', ['--unhandled-rejections=warn', server, ...words, '--no-stdout-logs', '--no-color'], { stdio: 'inherit' });
pouch.on('exit', (code) => process.exit(code ?? 1));
for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => pouch.kill(name));

const apart = new http.Agent({ keepAlive: false }); // the shared one gives up on feeds after 5 s

function pass(request, response) {
  const up = request.url === '/_up';
  if (!up && !request.headers.authorization) {
    response.writeHead(401, { 'Content-Type': 'application/json' });
    return response.end('{"error":"unauthorized","reason":"Authentication required."}\n');
  }
  const there = { host: '127.0.0.1', port: 5985, method: request.method, path: up ? '/' : request.url, headers: request.headers, agent: apart };
  const onward = http.request(there, (answer) => { response.writeHead(answer.statusCode, answer.headers); answer.pipe(response); });
  onward.on('error', () => { response.writeHead(503); response.end(); });
  response.on('close', () => onward.destroy());
  request.pipe(onward);
}

http.createServer({ requestTimeout: 0 }, pass).listen(5984, '0.0.0.0');
const folder = '/opt/couchdb/etc/local.d/';
const ini = fs.readdirSync(folder).sort().map((name) => fs.readFileSync(folder + name, 'utf8')).join('\n');
const of = (key) => (ini.match(new RegExp(`^${key} = (.*)$`, 'm')) || [])[1];
if (of('cert_file')) {
  const options = { cert: fs.readFileSync(of('cert_file')), key: fs.readFileSync(of('key_file')), requestTimeout: 0 };
  https.createServer(options, pass).listen(6984, '0.0.0.0');
}
