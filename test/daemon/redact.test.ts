import assert from 'node:assert/strict'
import test from 'node:test'
import { maskUrls, Redactor } from '../../src/daemon/redact.ts'

test('a secret is masked as it is written, percent-decoded and percent-encoded', () => {
  const redactor = new Redactor()
  redactor.add('p%40ss/word')
  for (const spelling of ['p%40ss/word', 'p@ss/word', 'p%2540ss%2Fword'])
    assert.equal(redactor.scrub(`a ${spelling} b`), 'a *** b')
})

test('a longer secret is masked before a shorter one that is its part', () => {
  const redactor = new Redactor()
  redactor.add('abcd', 'abcdefgh')
  assert.equal(redactor.scrub('abcdefgh abcd'), '*** ***')
})

test('a URL never shows its password, however short or odd it is', () => {
  assert.equal(maskUrls('at rtsp://admin:x@cam/1: failed'), 'at rtsp://admin:***@cam/1: failed')
  assert.equal(maskUrls('rtsp://admin:a/b@c#d@cam/1'), 'rtsp://admin:***@cam/1')
  assert.equal(
    maskUrls('http://cam/flv?user=admin&password=x&z=1'),
    'http://cam/flv?user=admin&password=***&z=1',
  )
  assert.equal(maskUrls('rtsp://cam:554/1'), 'rtsp://cam:554/1')
})
