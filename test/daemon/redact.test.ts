import assert from 'node:assert/strict'
import test from 'node:test'
import { maskForeignUrls, maskUrls, Redactor } from '../../src/daemon/redact.ts'

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

const cameraUrls: [string, string][] = [
  [
    'rtmp://ip/bcs/c.bcs?channel=0&user=admin&password=can@ary',
    'rtmp://ip/bcs/c.bcs?channel=0&user=admin&password=***',
  ],
  ['rtmp://ip:1935/bcs?password=can@ary&x=1', 'rtmp://ip:1935/bcs?password=***&x=1'],
  [
    'rtsp://ip:554/user=admin&password=canary&channel=1',
    'rtsp://ip:554/user=admin&password=***&channel=1',
  ],
  [
    'rtsp://ip:554/user=admin_password=can_ary_channel=1',
    'rtsp://ip:554/user=admin_password=***_channel=1',
  ],
  ['http://ip/x?loginuse=admin&loginpas=canary', 'http://ip/x?loginuse=admin&loginpas=***'],
  ['rtsp://admin:can/ary@ip/1', 'rtsp://admin:***@ip/1'],
  ['rtsp://[::1]:554/live@main', 'rtsp://[::1]:554/live@main'],
]

for (const [url, masked] of cameraUrls)
  test(`the password of ${masked} is masked, and nothing else`, () =>
    assert.equal(maskUrls(`x ${url} y`), `x ${masked} y`))

test('a URL that a camera made up shows neither a user nor a query', () => {
  for (const [line, masked] of [
    ['to rtsp://admin:can/ary@ip:554/x?sig=canary', 'to rtsp://***@ip:554/x?***'],
    ["Opening 'http://canary@ip/1.ts?a=canary&b=c' for", "Opening 'http://***@ip/1.ts?***' for"],
    ['crypto+https://ip/1#canary', 'crypto+https://ip/1?***'],
    ['rtsp://ip:554/live@main', 'rtsp://ip:554/live@main'],
  ] as const)
    assert.equal(maskForeignUrls(line), masked)
})

test('a secret is masked in JSON too', () => {
  const redactor = new Redactor()
  redactor.add('can"a\\ry')
  assert.equal(redactor.scrub(JSON.stringify({ a: 'can"a\\ry' })), '{"a":"***"}')
})
