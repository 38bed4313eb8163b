"""An S3 server for the tests on a loopback port: moto, checking signatures and permissions.

Tells on standard output, a line each, `endpoint`, then three pairs `key` and `secret`: of a user who may do
everything, of one who may only read, and of one whose permissions were all taken away; then `ready`. After that it
takes commands on standard input and answers each with `done`:

    bucket NAME                is made
    fill BUCKET PREFIX COUNT   objects PREFIX00000.csv and so on, a line `n` and a line with the object's number
    uploads BUCKET             the answer is how many uploads were begun and neither completed nor aborted
    parts BUCKET               the answer is how many parts these have

It ends when standard input does, so that it never outlives the test.
"""

import json
import logging
import os
import sys
import urllib.request

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.s3.models import s3_backends

REGION = "us-east-1"
USERS = {"writer": ["s3:*"], "reader": ["s3:GetObject", "s3:ListBucket", "s3:HeadBucket"], "nobody": []}


def tell(line):
    print(line, flush=True)


def add_user(iam, name, actions):
    """Gives the new user's key and secret."""
    iam.create_user(UserName=name)
    if actions:
        allow = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam.put_user_policy(UserName=name, PolicyName="tests", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def check_signatures(endpoint):
    """From here on; until now any key would do."""
    # Without a type of its own the body would be taken for a form.
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=b"0", headers=headers)
    urllib.request.urlopen(request).read()


# The commands go past HTTP: they need no right, and ten thousand requests would take a minute.


def backend():
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


def bucket(name):
    backend().create_bucket(name, REGION)


def fill(bucket, prefix, count):
    for number in range(int(count)):
        backend().put_object(bucket, f"{prefix}{number:05}.csv", f"n\n{number}\n".encode())


def uploads(bucket):
    return len(backend().get_bucket(bucket).multiparts)


def parts(bucket):
    return sum(len(upload.parts) for upload in backend().get_bucket(bucket).multiparts.values())


COMMANDS = {"bucket": bucket, "fill": fill, "uploads": uploads, "parts": parts}


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    iam = boto3.client(
        "iam", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="any", aws_secret_access_key="any"
    )
    tell(f"endpoint {endpoint}")
    for name, actions in USERS.items():
        key, secret = add_user(iam, name, actions)
        tell(f"key {key}")
        tell(f"secret {secret}")
    check_signatures(endpoint)
    tell("ready")
    for line in sys.stdin:
        command, *arguments = line.split()
        try:
            answer = COMMANDS[command](*arguments)
            tell("done" if answer is None else f"done {answer}")
        except Exception as error:
            tell(f"failed {error!r}")
    # The server's threads would keep the process.
    os._exit(0)


main()
