'use strict';
// From the code of an action to its entry point, as the stock Node proxy does it.

const vm = require('vm');

const ARCHIVE = 'There was an error uncompressing the action archive.';

function loadSource(code, main) {
  const folder = process.cwd();
  const filename = `${folder}/index.js`;
  const head = '(function (exports, require, module, __filename, __dirname) {';
  const tail = `
try { return ${main}; } catch (error) {
  if (error.name === 'ReferenceError') return module.exports.${main} || exports.${main};
  throw error;
}})`;
  const module = { exports: {}, filename, id: filename };
  let wrapped;
  try {
    wrapped = new vm.Script(head + code + tail, {
      filename,
      columnOffset: -head.length,
      importModuleDynamically: vm.constants && vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    }).runInThisContext();
  } catch (error) {
    throw withoutExcerpt(error);
  }
  return wrapped(module.exports, lazyRequire(filename), module, filename, folder);
}

// Making a `require` takes a while, and small actions have no use for one.
function lazyRequire(filename) {
  let real;
  const get = () => {
    if (real === undefined) {
      provideHelper();
      real = require('module').createRequire(filename);
    }
    return real;
  };
  const lazy = (name) => get()(name);
  for (const name of ['resolve', 'cache', 'extensions', 'main']) {
    Object.defineProperty(lazy, name, { enumerable: true, get: () => get()[name] });
  }
  return lazy;
}

// V8 puts the line in question in front of the message; the answer begins with the message.
function withoutExcerpt(error) {
  const at = typeof error.stack === 'string' ? error.stack.indexOf(`${error.name}: `) : -1;
  if (at > 0) {
    console.error(error.stack.slice(0, at).trimEnd());
    error.stack = error.stack.slice(at);
  }
  return error;
}

async function loadArchive(code, main) {
  const fs = require('fs');
  const path = require('path');
  const folder = path.join(fs.realpathSync(require('os').tmpdir()), 'action');
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  require('./node_unpack.js').unpack(Buffer.from(code, 'base64'), folder, ARCHIVE);
  process.chdir(folder);
  provideHelper();
  const dot = main.lastIndexOf('.');
  if (dot <= 0 && !fs.existsSync('package.json') && !fs.existsSync('index.js')) {
    throw 'Zipped actions must contain either package.json or index.js at the root.';
  }
  const loaded = await requireOrImport(folder, dot > 0 ? path.join(folder, main.slice(0, dot)) : folder);
  const name = main.slice(dot + 1);
  return loaded[name] === undefined && loaded.default ? loaded.default[name] : loaded[name];
}

async function requireOrImport(folder, wanted) {
  const requireThere = require('module').createRequire(`${folder}/action.js`);
  try {
    return requireThere(wanted);
  } catch (error) {
    if (error.code === 'ERR_REQUIRE_ESM' || (error instanceof SyntaxError && /import|export/.test(error.message))) {
      return import(require('url').pathToFileURL(requireThere.resolve(wanted)).href);
    }
    if (error.code === 'MODULE_NOT_FOUND') {
      console.error('Packages are not installed when an action starts: ship node_modules in the archive.');
    }
    throw error;
  }
}

// `require('upwhisk_action')`: what an action can ask about the activation it is serving.
function provideHelper() {
  const Module = require('module');
  const original = Module._load;
  Module._load = function loadOrHelp(request, ...rest) {
    return request === 'upwhisk_action' ? require('./node_helper.js') : original.call(this, request, ...rest);
  };
}

module.exports = { loadArchive, loadSource };
