"""Baidu's older interface to ERNIE, with access tokens; version 2 is Qianfan, a profile of another dialect."""

from pointsman_server.upstreams.dialects.ernie.adapter import ErnieAdapter
from pointsman_server.upstreams.dialects.ernie.profiles import ERNIE as PROFILE
from pointsman_server.upstreams.provider import Provider

ERNIE = Provider(PROFILE, ErnieAdapter)
