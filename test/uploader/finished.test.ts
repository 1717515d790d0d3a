import assert from 'node:assert/strict'
import test from 'node:test'
import { isFinished } from '../../src/uploader/finished.ts'

const stableAfterMs = 60_000
const cases: [
  sentence: string,
  stableMs: number,
  isHeld: boolean | undefined,
  inOpen: boolean,
  finished: boolean,
][] = [
  ['a closed file without a writer is finished after 2 s', 2000, false, false, true],
  ['one that changed a moment ago is not', 1999, false, false, false],
  ['one that is open for writing never is', 1e9, true, false, false],
  ['where writers cannot be seen, STABLE_SECONDS decides', 60_000, undefined, false, true],
  ['and nothing less', 59_999, undefined, false, false],
  ['in open/ it takes STABLE_SECONDS, writer or not', 59_999, false, true, false],
  ['but then a file is finished there as well', 60_000, false, true, true],
  ['not while somebody writes to it', 1e9, true, true, false],
]

for (const [sentence, stableMs, isHeld, inOpen, finished] of cases)
  test(sentence, () => {
    assert.equal(isFinished({ stableMs, isHeld, inOpen }, stableAfterMs), finished)
  })
