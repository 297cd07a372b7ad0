"""Calls weir as programs with boto3 do. The surroundings have key and region.

usage: ecr.py ENDPOINT
"""

import hashlib
import json
import sys
import urllib.error
import urllib.request

import boto3
from botocore.exceptions import WaiterError

ecr = boto3.client("ecr", endpoint_url=sys.argv[1])
LAYER, CONFIG = b"layer" * 1000, b"{}"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def equal(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, want {want!r}")


def refused(exception, call, **args):
    try:
        call(**args)
    except getattr(ecr.exceptions, exception) as e:
        equal("its code", e.response["Error"]["Code"], exception)
        equal("its status", e.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        return e.response
    sys.exit(f"{call.__name__}{args}: no {exception}")


def upload(repository, data, parts):
    """Uploads a blob in so many parts, the last of which may be small."""
    begun = ecr.initiate_layer_upload(repositoryName=repository)
    size = begun["partSize"]
    for i in range(parts):
        part = data[i * size : (i + 1) * size]
        done = ecr.upload_layer_part(
            repositoryName=repository, uploadId=begun["uploadId"], layerPartBlob=part,
            partFirstByte=i * size, partLastByte=i * size + len(part) - 1,
        )
        equal("last byte", done["lastByteReceived"], i * size + len(part) - 1)
    done = ecr.complete_layer_upload(repositoryName=repository, uploadId=begun["uploadId"], layerDigests=[digest(data)])
    equal("digest", done["layerDigest"], digest(data))


def push(repository, tag):
    """Pushes an image of its own for each tag."""
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(CONFIG), "size": len(CONFIG)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(LAYER), "size": len(LAYER)}],
        "annotations": {"tag": tag},
    })
    image = ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag=tag)["image"]
    equal("image", image["imageId"], {"imageDigest": digest(manifest.encode()), "imageTag": tag})
    return manifest


def pages(name, member, **args):
    got = []
    for page in ecr.get_paginator(name).paginate(PaginationConfig={"PageSize": 2}, **args):
        got += page[member]
    return got


for i in range(5):
    made = ecr.create_repository(repositoryName=f"py/app{i}")["repository"]
    equal("time", made["createdAt"].tzinfo is not None, True)
refused("RepositoryAlreadyExistsException", ecr.create_repository, repositoryName="py/app0")
refused("InvalidParameterException", ecr.create_repository, repositoryName="Py")
equal("repositories", [r["repositoryName"] for r in pages("describe_repositories", "repositories")], [f"py/app{i}" for i in range(5)])

refused("UploadNotFoundException", ecr.complete_layer_upload, repositoryName="py/app0",
        uploadId="01234567-89ab-cdef-0123-456789abcdef", layerDigests=[digest(CONFIG)])
begun = ecr.initiate_layer_upload(repositoryName="py/app0")["uploadId"]
said = refused("InvalidLayerPartException", ecr.upload_layer_part, repositoryName="py/app0", uploadId=begun,
               layerPartBlob=b"part", partFirstByte=7, partLastByte=10)
equal("what the exception says", {k: said.get(k) for k in ("registryId", "repositoryName", "uploadId")},
      {"registryId": made["registryId"], "repositoryName": "py/app0", "uploadId": begun})
upload("py/app0", LAYER, 1)
upload("py/app0", CONFIG, 1)
upload("py/app1", bytes(21 << 20), 2)
manifests = {tag: push("py/app0", tag) for tag in ("a", "b", "c")}
equal("tags", sorted(i["imageTag"] for i in pages("list_images", "imageIds", repositoryName="py/app0")), ["a", "b", "c"])
equal("sizes", [i["imageSizeInBytes"] for i in pages("describe_images", "imageDetails", repositoryName="py/app0")], [len(LAYER) + len(CONFIG)] * 3)

got = ecr.batch_get_image(repositoryName="py/app0", imageIds=[{"imageTag": "b"}, {"imageTag": "none"}])
equal("manifest", got["images"][0]["imageManifest"], manifests["b"])
equal("failure", got["failures"][0]["failureCode"], "ImageNotFound")
url = ecr.get_download_url_for_layer(repositoryName="py/app0", layerDigest=digest(LAYER))["downloadUrl"]
with urllib.request.urlopen(url) as answer:
    equal("layer", answer.read(), LAYER)
changed = url[:-1] + ("0" if url[-1] != "0" else "1")
try:
    urllib.request.urlopen(changed)
    sys.exit(f"{changed} is good, too")
except urllib.error.HTTPError as e:
    equal("status of a changed URL", e.code in (400, 403), True)

policy = {"rules": [{
    "rulePriority": 1,
    "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
    "action": {"type": "expire"},
}]}
ecr.start_lifecycle_policy_preview(repositoryName="py/app0", lifecyclePolicyText=json.dumps(policy))
ecr.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName="py/app0", WaiterConfig={"Delay": 1})
equal("expiring", [r["action"]["type"] for r in pages("get_lifecycle_policy_preview", "previewResults", repositoryName="py/app0")], ["EXPIRE"] * 2)
try:
    ecr.get_waiter("image_scan_complete").wait(repositoryName="py/app0", imageId={"imageTag": "a"}, WaiterConfig={"Delay": 1})
    sys.exit("an image was scanned")
except WaiterError as e:
    equal("why", "ScanNotFoundException" in str(e), True)
equal("rules", [r["ecrRepositoryPrefix"] for r in pages("describe_pull_through_cache_rules", "pullThroughCacheRules")], ["declared"])
refused("RepositoryNotEmptyException", ecr.delete_repository, repositoryName="py/app0")
for i in range(5):
    ecr.delete_repository(repositoryName=f"py/app{i}", force=True)
print("boto3", boto3.__version__, "is content")
