import assert from 'node:assert/strict'
import test from 'node:test'
import { mergeChecks } from '../../src/cli/merged-checks.ts'

test('what both daemons find is said once, and what one finds is not lost', () => {
  const both = { variable: 'LOG_LEVEL', found: '"LOUD"', expected: 'one of INFO, ERROR' }
  const one = { variable: 'S3_BUCKET_NAME', expected: 'a bucket' }
  assert.deepEqual(mergeChecks([{ faults: [both] }, { faults: [both, one] }]), {
    faults: [
      'LOG_LEVEL: found "LOUD"; expected one of INFO, ERROR',
      'S3_BUCKET_NAME: not set; expected a bucket',
    ],
    warnings: [],
  })
  assert.deepEqual(
    mergeChecks([
      { config: {}, warnings: ['x'] },
      { config: {}, warnings: ['x', 'y'] },
    ]),
    { faults: [], warnings: ['x', 'y'] },
  )
})
