import assert from 'node:assert/strict'
import test from 'node:test'
import { compareContent } from '../../src/uploader/verify.ts'

const content = { bytes: 10, crc32: '0a0b0c0d', etag: 'aa-2' }
const cases: [
  sentence: string,
  object: { bytes: number; etag: string; crc32?: string },
  verdict: string,
][] = [
  ['another length is another content', { bytes: 9, etag: 'aa-2', crc32: '0a0b0c0d' }, 'different'],
  [
    'an equal CRC32 is proof, whatever the ETag',
    { bytes: 10, etag: 'x', crc32: '0a0b0c0d' },
    'equal',
  ],
  [
    'another CRC32 is proof of the contrary',
    { bytes: 10, etag: 'aa-2', crc32: '00000000' },
    'different',
  ],
  ['an ETag that is our MD5 is proof', { bytes: 10, etag: 'AA-2' }, 'equal'],
  ['any other ETag says nothing: the object has to be read', { bytes: 10, etag: 'cc' }, 'unknown'],
]

for (const [sentence, object, verdict] of cases)
  test(sentence, () => assert.equal(compareContent(object, content), verdict))
