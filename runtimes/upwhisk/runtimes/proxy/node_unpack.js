'use strict';
// Unpacking of zip and tar.gz archives that strangers made.
//
// Refused: names that leave the folder or are absolute, special files, too many entries, too much content, encrypted
// and corrupt entries. Links that lead out of the folder are left out.

const fs = require('fs');
const path = require('path');
const zlib = require('zlib');

const MAX_FILES = 65535;
const MAX_BYTES = 512 * 1024 * 1024;
const MAX_LINK = 4096;
const LINK = 0o120000;
const FILE = 0o100000;
const FOLDER = 0o040000;
const KIND = 0o170000;

function refuse(why) {
  throw `The archive was refused: ${why}`;
}

function targetOf(folder, name) {
  const parts = name.split('/');
  if (name.startsWith('/') || name.includes('\\') || name.includes('\0') || name[1] === ':' || parts.includes('..')) {
    refuse(`'${name}' leads out of its folder.`);
  }
  return path.join(folder, ...parts.filter((part) => part !== '' && part !== '.'));
}

function unpack(data, folder, unreadable) {
  let entries;
  try {
    if (data.length > 3 && data.readUInt32LE(0) === 0x04034b50) entries = zipEntries(data);
    else if (data[0] === 0x1f && data[1] === 0x8b) entries = tarEntries(gunzip(data));
    else throw 'The file type is unsupported';
    write(entries, folder);
  } catch (error) {
    if (typeof error === 'string') throw error.startsWith('The archive was refused') ? error : `${unreadable} ${error}`;
    throw `${unreadable} ${error.code === 'ENOSPC' ? 'It does not fit into the scratch folder.' : error.message}`;
  }
}

function write(entries, folder) {
  const links = [];
  const budget = { files: MAX_FILES, bytes: MAX_BYTES };
  for (const entry of entries) {
    budget.files -= 1;
    if (budget.files < 0) refuse(`it has more than ${MAX_FILES} entries.`);
    const target = targetOf(folder, entry.name);
    const kind = entry.mode & KIND;
    if (entry.name.endsWith('/') || kind === FOLDER) {
      fs.mkdirSync(target, { recursive: true });
    } else if (kind === LINK) {
      links.push([target, entry.read(budget.bytes).toString('utf8')]);
    } else if (kind === 0 || kind === FILE) {
      writeFile(entry, target, budget);
    } else {
      refuse(`'${entry.name}' is a special file.`);
    }
  }
  makeLinks(folder, links); // last, so that no entry can be written through one
}

function writeFile(entry, target, budget) {
  const content = entry.read(budget.bytes);
  budget.bytes -= content.length;
  if (budget.bytes < 0) refuse('its content is too large.');
  fs.mkdirSync(path.dirname(target), { recursive: true });
  fs.writeFileSync(target, content);
  fs.chmodSync(target, (entry.mode & 0o777 || 0o644) | 0o600);
}

function makeLinks(folder, links) {
  const made = [];
  for (const [target, text] of links) {
    if (text.length > MAX_LINK || text.includes('\0')) refuse('a link is too long.');
    const parent = path.dirname(target);
    if (realpath(parent) !== parent || fs.existsSync(target)) continue; // it would be made through another link
    fs.symlinkSync(text, target);
    made.push(target);
  }
  for (const link of made) {
    const end = realpath(link);
    if (end !== folder && !end.startsWith(`${folder}/`)) fs.unlinkSync(link);
  }
}

// '' for what does not exist, or turns in circles: such a link is left out too.
function realpath(name) {
  try {
    return fs.realpathSync(name);
  } catch {
    return '';
  }
}

function* zipEntries(data) {
  const end = data.lastIndexOf(Buffer.from('PK\x05\x06'));
  if (end < 0 || end + 22 > data.length) throw 'The end of the archive is missing.';
  const count = data.readUInt16LE(end + 10);
  let at = data.readUInt32LE(end + 16);
  if (at === 0xffffffff) throw 'Archives in the zip64 format are not supported.';
  for (let number = 0; number < count; number += 1) {
    if (data.readUInt32LE(at) !== 0x02014b50) throw 'The directory of the archive is corrupt.';
    const nameLength = data.readUInt16LE(at + 28);
    yield zipEntry(data, at, data.toString('utf8', at + 46, at + 46 + nameLength));
    at += 46 + nameLength + data.readUInt16LE(at + 30) + data.readUInt16LE(at + 32);
  }
}

function zipEntry(data, at, name) {
  const flags = data.readUInt16LE(at + 8);
  const method = data.readUInt16LE(at + 10);
  const sum = data.readUInt32LE(at + 16);
  const packed = data.readUInt32LE(at + 20);
  const start = data.readUInt32LE(at + 42);
  const mode = data.readUInt32LE(at + 38) >>> 16;
  const read = (left) => {
    if (flags & 1) refuse(`'${name}' is encrypted.`);
    if (data.readUInt32LE(start) !== 0x04034b50) throw `The entry '${name}' is corrupt.`;
    const from = start + 30 + data.readUInt16LE(start + 26) + data.readUInt16LE(start + 28);
    const raw = data.subarray(from, from + packed);
    if (raw.length !== packed) throw `The entry '${name}' is cut off.`;
    const content = method === 0 ? raw : method === 8 ? inflate(raw, left) : refuse(`'${name}' is compressed in a way that is not supported.`);
    if (crc32(content) !== sum) throw `The entry '${name}' is corrupt.`;
    return content;
  };
  return { name, mode, read };
}

function inflate(raw, left) {
  try {
    return zlib.inflateRawSync(raw, { maxOutputLength: Math.max(left, 1) });
  } catch (error) {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') refuse('its content is too large.');
    throw error;
  }
}

function gunzip(data) {
  try {
    return zlib.gunzipSync(data, { maxOutputLength: MAX_BYTES });
  } catch (error) {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') refuse('its content is too large.');
    throw error;
  }
}

let table;

function crc32(data) {
  if (typeof zlib.crc32 === 'function') return zlib.crc32(data);
  if (table === undefined) {
    table = new Int32Array(256);
    for (let byte = 0; byte < 256; byte += 1) {
      let value = byte;
      for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
      table[byte] = value;
    }
  }
  let sum = -1;
  for (let at = 0; at < data.length; at += 1) sum = table[(sum ^ data[at]) & 255] ^ (sum >>> 8);
  return (sum ^ -1) >>> 0;
}

const TAR_KINDS = { 0: FILE, '\0': FILE, 2: LINK, 5: FOLDER, 7: FILE };

function* tarEntries(data) {
  let long = {};
  for (let at = 0; at + 512 <= data.length && data[at] !== 0;) {
    const size = parseInt(field(data, at + 124, 12), 8) || 0;
    const type = String.fromCharCode(data[at + 156]);
    const content = data.subarray(at + 512, at + 512 + size);
    if (content.length !== size) throw 'The archive is cut off.';
    at += 512 + Math.ceil(size / 512) * 512;
    const header = at - 512 - Math.ceil(size / 512) * 512;
    if (type === 'L') long.path = content.toString('utf8').replace(/\0.*$/s, '');
    else if (type === 'K') long.linkpath = content.toString('utf8').replace(/\0.*$/s, '');
    else if (type === 'x') long = { ...long, ...paxRecords(content) };
    else if (type !== 'g') {
      yield tarEntry(data, header, type, content, long);
      long = {};
    }
  }
}

function tarEntry(data, at, type, content, long) {
  const prefix = field(data, at + 257, 5) === 'ustar' ? field(data, at + 345, 155) : '';
  const short = prefix ? `${prefix}/${field(data, at, 100)}` : field(data, at, 100);
  const name = long.path || short;
  const kind = TAR_KINDS[type];
  if (kind === undefined) refuse(`'${name}' is a special file.`);
  const mode = kind | (parseInt(field(data, at + 100, 8), 8) & 0o777);
  const link = Buffer.from(long.linkpath || field(data, at + 157, 100));
  return { name, mode, read: () => (kind === LINK ? link : content) };
}

function paxRecords(content) {
  const records = {};
  for (const line of content.toString('utf8').split('\n')) {
    const found = /^\d+ (path|linkpath)=(.*)$/s.exec(line);
    if (found !== null) records[found[1]] = found[2];
  }
  return records;
}

function field(data, at, length) {
  return data.toString('utf8', at, at + length).replace(/\0.*$/s, '').trim();
}

module.exports = { unpack };
