"""A caller's earlier gRPC contract, served beside ours: its messages become ours by configured rules, and back.

Enters: a descriptor set and rules. Leaves: methods for the boundary. It decides nothing about a call.
"""

from pointsman_server.server.compat.services import CompatService, build_services, compatibility_findings

__all__ = ["CompatService", "build_services", "compatibility_findings"]
