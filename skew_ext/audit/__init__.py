"""The audit: served cells against their baseline, and why they differ. Pure functions over arrays; no Feast here."""
