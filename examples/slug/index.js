'use strict';

const slugify = require('slugify');

// Turns a title into the last part of an address.
exports.main = ({ text = '' }) => {
  const slug = slugify(text, { lower: true, strict: true });
  console.log('%s -> %s', text, slug);
  return { text, slug };
};
